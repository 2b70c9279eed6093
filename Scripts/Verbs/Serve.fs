/// serve: a page and an HTTP interface on this machine. Draw and see what a model says, train in the browser, look at the model.
module OnnxLeNet.Scripts.Verbs.Serve

open System
open System.IO
open Argu
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Options
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

let run (args: ParseResults<ServeArgs>) =
    let out = output (args.Contains ServeArgs.Quiet)
    serve
        out
        { Port = args.GetResult(ServeArgs.Port, defaultValue = 8080)
          Model = args.GetResult(ServeArgs.Model, defaultValue = Path.Combine(Workspace.finishedModels, "lenet5-mnist.onnx"))
          Given =
            { Mean = args.TryGetResult ServeArgs.Mean
              Std = args.TryGetResult ServeArgs.Std
              Scale = args.TryGetResult ServeArgs.Scale
              Padding = args.TryGetResult ServeArgs.Padding
              Size = args.TryGetResult ServeArgs.Size |> Option.map (atLeastOne "--size") }
          Fit = args.TryGetResult ServeArgs.Fit |> Option.map (Pictures.fitOf "--fit")
          Data = args.TryGetResult ServeArgs.Data
          Ort = args.TryGetResult ServeArgs.Ort
          Limits = Guards.usual
          Say = message out }
