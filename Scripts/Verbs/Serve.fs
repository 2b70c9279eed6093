/// serve: a page and an HTTP interface on this machine. Draw and see what a model says, train in the browser, look at the model.
module OnnxLeNet.Scripts.Verbs.Serve

open System
open System.IO
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Web
open OnnxLeNet.Scripts.Web.Server

/// Serves until Ctrl-C or SIGTERM.
let serve out (settings: Settings) =
    if settings.Port < 0 || settings.Port > 65535 then badOption "--port" settings.Port "0 (any that is free) to 65535"
    let server = Server.Start settings
    line out $"{server.Address}   {Workspace.display settings.Model}: draw, train, look at the model (Ctrl-C ends)"
    Console.Out.Flush()
    server.WaitForShutdown()
    (server :> IAsyncDisposable).DisposeAsync().AsTask().GetAwaiter().GetResult()
    Exit.done'

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    serve
        out
        { Port = args.Get(Options.port, 8080)
          Model = StandardInput.named (args.Get(Options.servedModel, Path.Combine(Workspace.finishedModels, "lenet5-mnist.onnx")))
          Given = Input.ofArgs args
          Fit = args.TryGet Options.fit
          Data = args.TryGet Options.data
          Ort = args.TryGet Options.ort
          Trust = args.Has Options.trust
          Limits = Guards.usual
          Say = message out }
