/// What becomes of errors: a message on standard error and an exit code, never a stack trace.
module OnnxLeNet.Scripts.Verbs.Guard

open System
open System.Globalization
open System.IO
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Verbs.Common

/// An exception's message for a person: .NET adds the parameter's name and value to some.
let private sentence (e: exn) =
    let text = e.Message
    let cut = text.IndexOf " (Parameter '"
    if cut > 0 then text[.. cut - 1] else text

/// Runs a verb; its exit code, or that of the error that ended it. Numbers have their points and commas as in English meanwhile, in
/// whatever language the system is.
let run (verb: unit -> int) =
    let culture, ofThreads = CultureInfo.CurrentCulture, CultureInfo.DefaultThreadCurrentCulture
    CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture
    CultureInfo.DefaultThreadCurrentCulture <- CultureInfo.InvariantCulture
    try
        try
            verb ()
        finally
            CultureInfo.CurrentCulture <- culture
            CultureInfo.DefaultThreadCurrentCulture <- ofThreads
    with
    | :? MissingPartException as e ->
        Terminal.error e.Message
        Exit.missingPart
    | :? OperationCanceledException ->
        Terminal.error "interrupted"
        Exit.interrupted
    | :? OnnxLeNetException
    | :? ArgumentException
    | :? IOException
    | :? OutOfMemoryException
    | :? OverflowException
    | :? UnauthorizedAccessException as e ->
        Terminal.error (sentence e)
        Exit.badInput
    | e ->
        Terminal.error ($"this should not happen ({e.GetType().Name}: {sentence e}); please report it with the command you typed")
        Exit.fallsShort
