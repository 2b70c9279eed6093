/// Reads what was typed after a verb by System.CommandLine, and says in one line what is wrong with it.
module OnnxLeNet.Scripts.Cli.Parser

open System
open System.Collections.Generic
open System.CommandLine
open OnnxLeNet.Numerics

let private arityOf =
    function
    | NoValue -> ArgumentArity.Zero
    | One -> ArgumentArity.ExactlyOne
    | OneOrNone -> ArgumentArity.ZeroOrOne
    | OneOrMore -> ArgumentArity.OneOrMore

/// What follows an error of usage.
let private seeHelp (verb: Verb) = $". See `{verb.Name} --help`"

let private fail (verb: Verb) problem = raise (OnnxLeNetException(problem + seeHelp verb))

/// Fails for a word that is neither an option of the verb nor a value.
let private unknown (verb: Verb) (word: string) =
    let name = (word.Split '=')[0]
    if name.StartsWith '-' && name <> "-" then
        let names = verb.Options |> List.map _.Name
        fail verb $"{verb.Name} has no option {name}{Nearest.question names name}"
    else
        let takes = if verb.Arguments.IsEmpty then "takes no argument" else "does not take a further argument"
        fail verb $"{verb.Name} {takes}, got {word}"

/// The values of an option that was typed.
let private valuesOf (verb: Verb) (entry: IEntry) (found: Parsing.OptionResult) =
    let e = entry.Entry
    let values = [ for token in found.Tokens -> token.Value ]
    if found.IdentifierTokenCount > 1 then fail verb $"{e.Name} is given twice: leave one of them out"
    match e.Values, values with
    | One, [] -> fail verb $"{e.Name} needs a value: {e.Name} {e.Placeholder}"
    | One, [ value ] when value.StartsWith("--", StringComparison.Ordinal) ->
        fail verb $"{e.Name} needs a value: {e.Name} {e.Placeholder}, got the option {value}"
    | _ -> ()
    values |> List.tryPick entry.Problem |> Option.iter (fail verb)
    values

/// The options and arguments of a verb, or an error that names the first thing that is wrong.
let parse (verb: Verb) (argv: string array) =
    // A first word that equals a command's name is taken for it: no file is called like this.
    let command = Command $"verb:{verb.Name}"
    let options, arguments = Dictionary<string, Option<string>>(), Dictionary<string, Argument>()
    for entry in verb.Entries do
        let e = entry.Entry
        if e.IsArgument then
            arguments[e.Name] <-
                if e.Values = OneOrMore then Argument<string array>(e.Name, Arity = ArgumentArity.ZeroOrMore) :> Argument
                else Argument<string>(e.Name, Arity = ArgumentArity.ZeroOrOne)
            command.Arguments.Add arguments[e.Name]
        else
            options[e.Name] <- Option<string>(e.Name, Arity = arityOf e.Values)
            command.Options.Add options[e.Name]
    let result = command.Parse(argv, ParserConfiguration(EnablePosixBundling = false, ResponseFileTokenReplacer = null))
    let positional =
        [ for argument in arguments.Values do
              match result.GetResult argument with
              | null -> ()
              | found -> for token in found.Tokens -> token.Value ]
    let given = Dictionary<string, string list>()
    for entry in verb.Entries do
        let e = entry.Entry
        if e.IsArgument then
            match result.GetResult arguments[e.Name] with
            | null -> ()
            | found when found.Tokens.Count = 0 -> ()
            | found -> given[e.Name] <- [ for token in found.Tokens -> token.Value ]
        else
            match result.GetResult options[e.Name] with
            | null -> ()
            | found -> given[e.Name] <- valuesOf verb entry found
    // Everything after -- is an argument, whatever it looks like.
    if not (Array.contains "--" argv) then
        positional |> List.tryFind (fun word -> word.StartsWith '-' && word <> "-") |> Option.iter (unknown verb)
    Seq.tryHead result.UnmatchedTokens |> Option.iter (unknown verb)
    for entry in verb.Entries do
        let e = entry.Entry
        if e.Required && not (given.ContainsKey e.Name) then
            fail verb $"{verb.Name} needs {e.Name}, {e.About}: {verb.Usage}"
    Seq.tryHead result.Errors |> Option.iter (fun error -> fail verb error.Message)
    Args(verb, given)
