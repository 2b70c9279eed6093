/// conformance: ONNX's backend node tests through the engine.
module OnnxLeNet.Scripts.Verbs.Conformance

open OnnxLeNet.Onnx
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Cli
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private word =
    function
    | ConformanceOutcome.Passed -> "passed"
    | ConformanceOutcome.Failed -> "failed"
    | _ -> "not supported"

let private count outcome (rows: ConformanceRow list) = rows |> List.filter (fun r -> r.Outcome = outcome) |> List.length

/// Tests of one operator, or of several together.
let private byOperator (rows: ConformanceRow list) =
    rows |> List.groupBy (fun r -> r.Operators) |> List.sortBy (fun (name, own) -> not own.Head.Claimed, name)

let private cells name (rows: ConformanceRow list) =
    [ name
      string (count ConformanceOutcome.Passed rows)
      string (count ConformanceOutcome.Failed rows)
      string (count ConformanceOutcome.NotSupported rows)
      rows |> List.filter (fun r -> not (isNull r.Exception)) |> List.length |> string
      rows |> List.filter (fun r -> r.Unexpected) |> List.length |> string ]

let private explain out (rows: ConformanceRow list) =
    for row in rows do
        let why =
            match row.Outcome, row.Exception with
            | ConformanceOutcome.Passed, reason -> $"passed, but is on the list of exceptions: {reason}"
            | outcome, null -> $"{word outcome}: {row.Reason}"
            | outcome, reason -> $"{word outcome}, an exception: {reason}"
        line out $"  {row.Test}   {why}"

let run (args: Args) =
    let out = output (args.Has Options.quiet)
    useWidth (args.TryGet Options.width)
    args.TryGet Options.json |> Option.iter (Workspace.requireWritableFile "--json")
    let rows = Conformance.Run(args.Require Options.folder) |> Seq.toList
    let claimed, others = rows |> List.partition (fun r -> r.Claimed)
    let unexpected = rows |> List.filter (fun r -> r.Unexpected)

    let columns = [ "operators"; "passed"; "failed"; "not supported"; "exceptions"; "unexpected" ]
    table
        out
        columns
        [ for name, own in byOperator claimed do
              cells name own
          cells "claimed" claimed
          cells "others" others ]
    let listed =
        if args.Has Options.all then
            rows |> List.filter (fun r -> r.Outcome <> ConformanceOutcome.Passed || r.Unexpected)
        else
            rows |> List.filter (fun r -> not (isNull r.Exception) || r.Unexpected)
    if not listed.IsEmpty then
        line out ""
        explain out listed

    args.TryGet Options.json
    |> Option.iter (fun path ->
        writeJson
            path
            (json
                [ "passed", count ConformanceOutcome.Passed rows
                  "failed", count ConformanceOutcome.Failed rows
                  "notSupported", count ConformanceOutcome.NotSupported rows
                  "unexpected", unexpected.Length
                  "operators",
                  jsonArray
                      [ for name, own in byOperator rows ->
                            json
                                [ "operators", name
                                  "claimed", own.Head.Claimed
                                  "passed", count ConformanceOutcome.Passed own
                                  "failed", count ConformanceOutcome.Failed own
                                  "notSupported", count ConformanceOutcome.NotSupported own ] ]
                  "tests",
                  jsonArray
                      [ for r in rows ->
                            json
                                [ "test", r.Test
                                  "operators", r.Operators
                                  "outcome", word r.Outcome
                                  "reason", r.Reason
                                  "exception", (if isNull r.Exception then "" else r.Exception)
                                  "unexpected", r.Unexpected ] ] ]))
    if unexpected.IsEmpty then
        Exit.done'
    else
        let tests = unexpected |> List.map (fun r -> r.Test) |> String.concat ", "
        error $"{unexpected.Length} test(s) did not end as they should: {tests}"
        Exit.fallsShort
