/// The server behind `serve`: routes, on this machine only.
module OnnxLeNet.Scripts.Web.Server

open System
open System.IO
open System.Net
open System.Net.Http
open System.Security.Cryptography
open System.Text.Json.Serialization
open System.Threading.Tasks
open Microsoft.AspNetCore.Builder
open Microsoft.AspNetCore.Connections
open Microsoft.AspNetCore.Hosting
open Microsoft.AspNetCore.Hosting.Server
open Microsoft.AspNetCore.Hosting.Server.Features
open Microsoft.AspNetCore.Http
open Microsoft.AspNetCore.Http.Timeouts
open Microsoft.AspNetCore.Routing
open Microsoft.AspNetCore.StaticFiles
open Microsoft.Extensions.DependencyInjection
open Microsoft.Extensions.FileProviders
open Microsoft.Extensions.Hosting
open Microsoft.Extensions.Logging
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Report
open OnnxLeNet.Scripts.Verbs
open OnnxLeNet.Scripts.Web.BrowserTraining
open OnnxLeNet.Scripts.Web.Guards
open OnnxLeNet.Scripts.Web.ServedModel

/// What is served, and where.
type Settings =
    {
        /// 0 for any that is free.
        Port: int
        /// An ONNX file.
        Model: string
        Given: Input.Given
        Fit: Fit option
        /// The images that a browser trains on; MNIST if none.
        Data: string option
        /// The folder dist of onnxruntime-web; fetched when a browser first trains if none.
        Ort: string option
        Limits: Limits
        /// Told what is going on.
        Say: string -> unit
    }

/// Whether the server is up.
type Health = { Status: string; Model: string }

/// Models from the browser that are kept: the newest.
let private mostModels = 8

/// Bytes in memory as a file, sent piece by piece as the client takes them: a hundred slow clients take no more memory than one.
let private octets (name: string) (bytes: ReadOnlyMemory<byte>) : IResult =
    { new IResult with
        member _.ExecuteAsync(context: HttpContext) =
            task {
                let response = context.Response
                response.ContentType <- "application/octet-stream"
                response.ContentLength <- Nullable(int64 bytes.Length)
                response.Headers.ContentDisposition <- $"attachment; filename={name}"
                for start in 0..65536 .. bytes.Length - 1 do
                    let piece = bytes.Slice(start, min 65536 (bytes.Length - start))
                    do! response.Body.WriteAsync(piece, context.RequestAborted)
            } }

/// A handler as the router takes it.
let private handler (answer: HttpContext -> Task<IResult>) : Delegate = Func<HttpContext, Task<IResult>>(answer) :> Delegate

let private atOnce (answer: HttpContext -> IResult) : Delegate = Func<HttpContext, IResult>(answer) :> Delegate

/// Whether a query asks for something by name alone or as true.
let private asks (context: HttpContext) (name: string) =
    context.Request.Query.ContainsKey name && string context.Request.Query[name] <> "false"

let private topOf (context: HttpContext) =
    match context.Request.Query.TryGetValue "top" with
    | false, _ -> 3
    | true, text ->
        match Int32.TryParse(string text) with
        | true, k when k >= 1 -> k
        | _ -> raise (OnnxLeNetException $"top must be 1 or more, got '{text}'")

/// The models there are: the one that is served, and the newest from the browser.
type private Models(served: ServedModel) =
    let trained = Collections.Generic.LinkedList<ServedModel * byte array>()

    member _.Find(id: string) =
        lock trained (fun () ->
            if id = "" || id = served.Info.Id then
                served
            else
                match trained |> Seq.tryFind (fun (model, _) -> model.Info.Id = id) with
                | Some(model, _) -> model
                | None -> raise (OnnxLeNetException $"there is no model '{id}': the newest {mostModels} from the browser are kept"))

    member _.File(id: string) =
        lock trained (fun () -> trained |> Seq.tryFind (fun (model, _) -> model.Info.Id = id) |> Option.map snd)

    member _.Add(model: ServedModel, file: byte array) =
        lock trained (fun () ->
            trained.AddLast((model, file)) |> ignore
            if trained.Count > mostModels then
                (fst (nonNull trained.First).Value :> IDisposable).Dispose()
                trained.RemoveFirst())

    member models.Of(context: HttpContext) = models.Find(string context.Request.Query["model"])

    interface IDisposable with
        member _.Dispose() =
            for model in served :: [ for model, _ in trained -> model ] do
                (model :> IDisposable).Dispose()

/// The routes that anyone may program against; the OpenAPI description holds these.
let private mapApi (routes: IEndpointRouteBuilder) (limits: Limits) (models: Models) (training: Lazy<BrowserTraining>) =
    let predictions = Turnstile(Environment.ProcessorCount, limits.Waiting)
    let exports = Turnstile(1, limits.WaitingModels)
    let room = Requests.Room limits.Bodies

    let predict (context: HttpContext) =
        task {
            let model, top, layers = models.Of context, topOf context, asks context "layers"
            use share = room.Enter()
            let! question = Requests.read share context.Request context.RequestAborted
            let answer () =
                match question with
                | Requests.Input numbers -> predictInput model top layers "input" numbers
                | Requests.Pixels picture -> predict model top layers "pixels" picture
                | Requests.Picture(name, bytes) ->
                    use stream = new MemoryStream(bytes)
                    predict model top layers name (Picture.Load(stream, name, Nullable model.Theirs.Input.Background))
            return! predictions.Run(context, fun () -> Results.Json(answer ()))
        }
    routes.MapPost("/predict", handler predict)
    |> OpenApi.describePredict

    routes.MapGet("/health", atOnce (fun _ -> Results.Json { Status = "ok"; Model = (models.Find "").Info.Name }))
    |> OpenApi.describe<Health> "Whether the server is up" []

    routes.MapGet("/model", atOnce (fun context -> Results.Json (models.Of context).Info))
    |> OpenApi.describe<ModelInfo> "What there is to know of a model" [ OpenApi.modelQuery ]

    let receive (context: HttpContext) =
        task {
            use share = room.Enter()
            let! weights = Requests.bytesOf share context.Request context.RequestAborted
            return!
                exports.Run(
                    context,
                    fun () ->
                        let made = training.Value.Export weights
                        let id = Convert.ToHexStringLower(SHA256.HashData made.File)[..11]
                        models.Add(load id "lenet5-browser.onnx" Input.nothing None made.Proto made.File, made.File)
                        Results.Json
                            { Id = id
                              Path = $"/models/{id}"
                              Bytes = made.File.Length
                              TestAccuracy = made.TestAccuracy
                              MaxRel = made.MaxRel }
                )
        }
    routes.MapPost("/models", handler receive)
    |> OpenApi.describeModels

    let download (context: HttpContext) =
        let id = string context.Request.RouteValues["id"]
        match models.File id with
        | Some file -> octets "lenet5-browser.onnx" (ReadOnlyMemory file)
        | None -> problem 404 $"there is no model '{id}': the newest {mostModels} from the browser are kept"
    routes.MapGet("/models/{id}", atOnce download)
    |> OpenApi.describeFile "A model that a browser trained, an ONNX file" [ OpenApi.idInPath ]

/// What the page alone asks for.
let private mapPage (routes: IEndpointRouteBuilder) (models: Models) (training: Lazy<BrowserTraining>) (ort: Lazy<string>) =
    let page (pattern: string) (answer: HttpContext -> IResult) =
        routes.MapGet(pattern, atOnce answer).ExcludeFromDescription() |> ignore

    page "/model/graph.svg" (fun context ->
        let model = models.Of context
        match model.Network with
        | Some network ->
            let picture = GraphPicture.svg GraphPicture.noFigures (Graph.Trace(network.Network, network.Sample))
            Results.Text(picture, "image/svg+xml")
        | None -> problem 404 $"there is no picture of the graph: the engine cannot import {model.Info.Name}")

    // MNIST's test images by their digit, for who cannot draw.
    let examples =
        lazy
            (let data = ImageFolder.LoadTest(Workspace.mnistFolder, ImageTransform.Mnist)
             data, [| for digit in 0 .. 9 -> [| for i in 0 .. data.Count - 1 do if data.Label i = digit then i |] |])
    page "/examples/{digit:range(0,9)}" (fun context ->
        let data, numbers = examples.Value
        let mine = numbers[Int32.Parse(string context.Request.RouteValues["digit"])]
        let which = match Int32.TryParse(string context.Request.Query["n"]) with | true, n when n >= 0 -> n % mine.Length | _ -> 0
        Results.Bytes(PngFile.Encode(data.PictureAt mine[which]), "image/png"))

    page "/train/config" (fun _ ->
        ort.Value |> ignore // what cannot be had is told before anything is loaded
        Results.Json training.Value.Config)
    page "/train/step.onnx" (fun _ -> octets "lenet5-train.onnx" (ReadOnlyMemory training.Value.Step))
    page "/train/initial.onnx" (fun _ -> octets "lenet5-initial.onnx" (ReadOnlyMemory training.Value.Initial))
    for name, isTraining in [ "train", true; "test", false ] do
        page $"/train/{name}-images" (fun _ -> octets $"{name}-images" (training.Value.Images isTraining))
        page $"/train/{name}-labels" (fun _ -> octets $"{name}-labels" (ReadOnlyMemory(training.Value.Labels isTraining)))
    page "/ort/{file}" (fun context ->
        let name = string context.Request.RouteValues["file"]
        match OnnxRuntimeWeb.tryFile ort.Value name with
        | Some file -> Results.File(file, (if name.EndsWith ".wasm" then "application/wasm" else "text/javascript"))
        | None -> problem 404 $"onnxruntime-web has no file '{name}'")

/// The page's own files, and none else of their folder.
let private files () =
    let types = FileExtensionContentTypeProvider()
    types.Mappings.Clear()
    for ending, contentType in
        [ ".html", "text/html; charset=utf-8"
          ".css", "text/css; charset=utf-8"
          ".js", "text/javascript; charset=utf-8"
          ".svg", "image/svg+xml" ] do
        types.Mappings[ending] <- contentType
    new PhysicalFileProvider(Path.Combine(Workspace.programFolder, "Web")), types

/// Asks once what a page asks with every stroke: what only the first request costs is then paid.
let private warmUp (address: Uri) (model: ServedModel) =
    let size = model.Info.Image
    let stroke = Array.init (size[1] * size[2]) (fun i -> if i % size[2] = size[2] / 2 then 255uy else 0uy)
    use client = new HttpClient(BaseAddress = address)
    use body = new ByteArrayContent(PngFile.Encode(Picture(size[2], size[1], 1, stroke)))
    use answer = client.Send(new HttpRequestMessage(HttpMethod.Post, "predict?layers=true", Content = body))
    answer.EnsureSuccessStatusCode() |> ignore

/// A server that runs until it is stopped.
type Server private (app: WebApplication, models: IDisposable) =
    member _.Address =
        let addresses = nonNull ((app.Services.GetRequiredService<IServer>()).Features.Get<IServerAddressesFeature>())
        Uri(Seq.head addresses.Addresses)

    /// Waits for Ctrl-C or SIGTERM; requests that are being answered are finished.
    member _.WaitForShutdown() = app.WaitForShutdown()

    static member Start(settings: Settings) =
        if not (File.Exists settings.Model) then raise (OnnxLeNetException $"there is no file {settings.Model}")
        settings.Ort |> Option.iter (OnnxRuntimeWeb.requireDist >> ignore)
        let served = read "served" settings.Given settings.Fit settings.Model
        let models = new Models(served)
        let training = lazy (BrowserTraining(Common.dataFolder settings.Data))
        if settings.Data.IsSome then training.Value |> ignore // what is wrong with it is told now
        let ort = lazy (settings.Ort |> Option.defaultWith (fun () -> OnnxRuntimeWeb.fetch settings.Say))
        let limits = settings.Limits

        let builder = WebApplication.CreateSlimBuilder(WebApplicationOptions(ContentRootPath = Workspace.programFolder))
        builder.Logging.ClearProviders() |> ignore
        builder.WebHost.UseKestrelCore().ConfigureKestrel(fun kestrel ->
            kestrel.AddServerHeader <- false
            apply limits kestrel.Limits
            kestrel.Listen(IPAddress.Loopback, settings.Port))
        |> ignore
        builder.Services
            .AddRateLimiter(limitRate limits)
            .AddRequestTimeouts(fun timeouts ->
                timeouts.DefaultPolicy <-
                    RequestTimeoutPolicy(
                        Timeout = limits.Timeout,
                        TimeoutStatusCode = 503,
                        WriteTimeoutResponse =
                            RequestDelegate(fun context ->
                                (problem 503 $"the request took more than {limits.Timeout.TotalSeconds} seconds").ExecuteAsync context)
                    ))
            .ConfigureHttpJsonOptions(fun json -> json.SerializerOptions.NumberHandling <- JsonNumberHandling.Strict)
            .Configure<HostOptions>(fun (host: HostOptions) -> host.ShutdownTimeout <- TimeSpan.FromSeconds 4.0)
        |> OpenApi.add

        let app = builder.Build()
        let mutable port = settings.Port
        let provider, types = files ()
        app
            .Use(protect)
            .UseStatusCodePages(tellStatus)
            .Use(requireOurs (fun () -> port))
            .Use(tellErrors limits)
            .UseDefaultFiles(DefaultFilesOptions(FileProvider = provider, DefaultFileNames = [| "index.html" |]))
            .UseStaticFiles(StaticFileOptions(FileProvider = provider, ContentTypeProvider = types))
            .UseRouting() // behind the files
            .UseRequestTimeouts()
            .UseRateLimiter()
        |> ignore
        mapApi app limits models training
        mapPage app models training ort
        app.MapOpenApi("/openapi.json").ExcludeFromDescription() |> ignore
        try
            app.Start()
        with :? IOException as e when (e.InnerException :? AddressInUseException) ->
            (models :> IDisposable).Dispose()
            raise (
                OnnxLeNetException(
                    $"--port {settings.Port}: another program listens there; choose another port, or --port 0 for any that is free",
                    e
                )
            )
        let server = new Server(app, models)
        port <- server.Address.Port
        warmUp server.Address served
        server

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            ValueTask(
                task {
                    do! app.StopAsync() // what is being answered is finished
                    do! app.DisposeAsync()
                    models.Dispose()
                }
                :> Task
            )
