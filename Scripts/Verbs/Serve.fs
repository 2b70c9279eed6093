/// serve: a page on this machine, in which a browser trains LeNet-5.
module OnnxLeNet.Scripts.Verbs.Serve

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Text
open System.Threading
open System.Threading.Tasks
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Web.Site

let private howToGet =
    "install Node.js (nodejs.org, or apt install npm), or name a folder that holds onnxruntime-web's dist with --ort"

let private npm (folder: string) =
    let name, first = if OperatingSystem.IsWindows() then "cmd.exe", [ "/c"; "npm" ] else "npm", []
    let info = ProcessStartInfo(name, first @ [ "ci"; "--ignore-scripts"; "--no-audit"; "--no-fund"; "--loglevel=error" ])
    info.WorkingDirectory <- folder
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    try
        use running = nonNull (Process.Start info)
        let output, errors = running.StandardOutput.ReadToEndAsync(), running.StandardError.ReadToEndAsync()
        running.WaitForExit()
        if running.ExitCode <> 0 then
            raise (MissingPartException $"npm could not install onnxruntime-web: {(output.Result + errors.Result).Trim()}. To get it: \
                {howToGet}")
    with :? ComponentModel.Win32Exception as e ->
        raise (MissingPartException($"onnxruntime-web is wanted from npm, and npm cannot be started: {e.Message}. To get it: \
            {howToGet}", e))

/// The folder of onnxruntime-web, of the release in the lock file; fetched from npm once for each lock file, into the user's cache, and
/// there whole or not at all.
let private onnxRuntimeWeb out (named: string option) =
    let dist folder = Path.Combine(folder, "node_modules", "onnxruntime-web", "dist")
    match named with
    | Some folder when not (File.Exists(Path.Combine(folder, "ort.wasm.min.mjs"))) ->
        raise (OnnxLeNetException $"--ort {folder}: there is no ort.wasm.min.mjs in it, expected the folder dist of onnxruntime-web")
    | Some folder -> folder
    | None ->
        let web = Path.Combine(Workspace.programFolder, "Web")
        let sum = Convert.ToHexStringLower(Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(web, "package-lock.json"))))
        let root = Workspace.cacheFolder
        let cache = Path.Combine(root, $"web-{sum[..11]}")
        if not (Directory.Exists(dist cache)) then
            message out $"fetching onnxruntime-web from npm into {cache} (once)"
            let work = Path.Combine(root, $"web-{Guid.NewGuid():N}")
            Directory.CreateDirectory work |> ignore
            try
                for file in [ "package.json"; "package-lock.json" ] do
                    File.Copy(Path.Combine(web, file), Path.Combine(work, file))
                npm work
                try
                    Directory.Move(work, cache)
                with :? IOException when Directory.Exists(dist cache) ->
                    () // another program was there first
            finally
                if Directory.Exists work then Directory.Delete(work, true)
        dist cache

/// Listens on this machine only: on the port asked for, or on one that is free.
let private listen (port: int) =
    let rec attempt left =
        let chosen = if port = 0 then Random.Shared.Next(20000, 60000) else port
        let address = $"http://127.0.0.1:{chosen}/"
        let listener = new HttpListener()
        listener.Prefixes.Add address
        try
            listener.Start()
            listener, address
        with :? HttpListenerException as e ->
            listener.Close()
            if port <> 0 || left = 0 then
                raise (OnnxLeNetException($"--port {chosen}: cannot listen there: {e.Message}", e))
            attempt (left - 1)
    attempt 50

/// The most bytes of a request: more than any weights.
let private mostBody = 4 <<< 20

let private respond (site: Site) (context: HttpListenerContext) =
    task {
        use response = context.Response
        let refuse status (text: string) =
            response.StatusCode <- status
            "text/plain; charset=utf-8", Encoding.UTF8.GetBytes text
        let contentType, bytes =
            try
                // What is too much is read all the same, up to a point: a browser hears an answer only when it has sent everything.
                use body = new MemoryStream()
                let buffer = Array.zeroCreate 65536
                let mutable total = 0
                let mutable read = context.Request.InputStream.Read(buffer, 0, buffer.Length)
                while read > 0 && total <= 16 * mostBody do
                    total <- total + read
                    if total <= mostBody then body.Write(buffer, 0, read)
                    read <- context.Request.InputStream.Read(buffer, 0, buffer.Length)
                if total > mostBody then
                    refuse 413 $"{max (int64 total) context.Request.ContentLength64} bytes are too many: at most {mostBody}"
                else
                    match site.Answer(context.Request.HttpMethod, (nonNull context.Request.Url).AbsolutePath, body.ToArray()) with
                    | Bytes(contentType, bytes) -> contentType, bytes
                    | Download(name, bytes) ->
                        response.Headers["Content-Disposition"] <- $"attachment; filename=\"{name}\""
                        "application/octet-stream", bytes
                    | Refused(status, text) -> refuse status text
            with
            | :? OnnxLeNetException
            | :? IOException
            | :? UnauthorizedAccessException as e -> refuse 500 e.Message
        response.ContentType <- contentType
        // Nothing that the page runs or reads comes from elsewhere.
        response.Headers["Content-Security-Policy"] <-
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src \
                'self' data:"
        response.Headers["X-Content-Type-Options"] <- "nosniff"
        response.Headers["Cache-Control"] <- "no-store"
        try
            do! response.OutputStream.WriteAsync(bytes, 0, bytes.Length)
        with :? HttpListenerException ->
            () // the browser has gone
    }

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    let port = args.Get(Options.port, 8080)
    if port < 0 || port > 65535 then badOption "--port" port "0 (any that is free) to 65535"
    let site = Site(onnxRuntimeWeb out (args.TryGet Options.ort), dataFolder (args.TryGet Options.data))
    let listener, address = listen port
    use stop = new CancellationTokenSource()
    let cancel =
        ConsoleCancelEventHandler(fun _ e ->
            e.Cancel <- true
            stop.Cancel()
            listener.Close())
    Console.CancelKeyPress.AddHandler cancel
    try
        line out $"LeNet-5 trains in a browser at {address} (Ctrl-C ends)"
        Console.Out.Flush()
        let rec serve () =
            let context =
                try
                    Some(listener.GetContext())
                with
                | :? HttpListenerException
                | :? ObjectDisposedException
                | :? InvalidOperationException when stop.IsCancellationRequested -> None
            match context with
            | Some context ->
                Task.Run(fun () -> respond site context :> Task) |> ignore
                serve ()
            | None -> Exit.done'
        serve ()
    finally
        Console.CancelKeyPress.RemoveHandler cancel
        listener.Close()
