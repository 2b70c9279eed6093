/// What the command line is made of: options, arguments and verbs. Each is a row of a table: see Options.fs and Commands.fs.
namespace OnnxLeNet.Scripts.Cli

open System
open System.Collections.Generic
open System.Globalization

/// How many values an option or an argument takes.
type Values =
    | NoValue
    | One
    | OneOrNone
    | OneOrMore

/// An option or an argument as help, completion and errors show it.
type Entry =
    {
        /// With its dashes; that of an argument is its placeholder.
        Name: string
        /// What stands for the value: N, FILE, …
        Placeholder: string
        /// The heading it stands under in help.
        Group: string
        /// The default as help shows it; "" where there is none.
        Default: string
        /// The values there are, where they can be listed.
        Choices: string list
        About: string
        Values: Values
        Required: bool
    }

    member entry.IsArgument = not (entry.Name.StartsWith '-')

type IEntry =
    abstract Entry: Entry
    /// What is wrong with a value; None if it can be read.
    abstract Problem: value: string -> string option

/// An entry whose value is a 'T.
type Opt<'T> =
    {
        Entry: Entry
        /// What a value must be, as errors say it.
        Expected: string
        Read: string -> 'T option
    }

    interface IEntry with
        member o.Entry = o.Entry

        member o.Problem value =
            match o.Read value with
            | Some _ -> None
            | None ->
                let got = if value = "" then "nothing" else value
                Some $"{o.Entry.Name} must be {o.Expected}, got {got}{Nearest.question o.Entry.Choices value}"

type Verb =
    {
        Name: string
        Summary: string
        /// Arguments first, in their order; options in the order of their groups.
        Entries: IEntry list
        /// What a person might type after the name, and what that does.
        Examples: (string * string) list
    }

    member verb.Arguments = [ for e in verb.Entries do if e.Entry.IsArgument then e.Entry ]
    member verb.Options = [ for e in verb.Entries do if not e.Entry.IsArgument then e.Entry ]

    /// The verb with its arguments and required options, as it is typed.
    member verb.Usage =
        String.concat
            " "
            [ verb.Name
              for e in verb.Arguments do
                  let name = if e.Values = OneOrMore then e.Placeholder + "…" else e.Placeholder
                  if e.Required then name else $"[{name}]"
              for e in verb.Options do
                  if e.Required then $"{e.Name} {e.Placeholder}"
              "[options]" ]

/// What was typed after a verb, checked by Parser.
type Args(verb: Verb, given: IReadOnlyDictionary<string, string list>) =
    let valuesOf (o: Opt<'T>) =
        if not (verb.Entries |> List.exists (fun e -> e.Entry.Name = o.Entry.Name)) then
            invalidOp $"{verb.Name} asks for {o.Entry.Name}, which is not among its options"
        match given.TryGetValue o.Entry.Name with
        | true, values -> Some values
        | _ -> None

    member _.Verb = verb

    /// Whether the option was typed.
    member _.Has(o: Opt<'T>) = (valuesOf o).IsSome

    /// The names of those that were typed.
    member _.Typed(entries: IEntry list) = [ for e in entries do if given.ContainsKey e.Entry.Name then e.Entry.Name ]

    /// The values of an argument that takes several.
    member _.All(o: Opt<'T>) = valuesOf o |> Option.defaultValue [] |> List.choose o.Read

    /// The value, if one was typed.
    member args.TryGet(o: Opt<'T>) = args.All o |> List.tryHead

    /// The value, or this one.
    member args.Get(o: Opt<'T>, otherwise: 'T) = args.TryGet o |> Option.defaultValue otherwise

    /// The value of an entry without which Parser lets nothing pass.
    member args.Require(o: Opt<'T>) = args.All o |> List.head

/// How a row is written.
module Table =
    /// "a", "a or b", "a, b or c".
    let alternatives (words: string list) =
        match List.rev words with
        | last :: (_ :: _ as others) -> String.Join(", ", List.rev others) + " or " + last
        | _ -> String.concat "" words

    let private entry name placeholder group default' about values =
        { Name = name
          Placeholder = placeholder
          Group = group
          Default = default'
          Choices = []
          About = about
          Values = values
          Required = false }

    let private row name placeholder group default' about values expected read =
        { Entry = entry name placeholder group default' about values; Expected = expected; Read = read }

    let private invariant parse (text: string) =
        match parse text with
        | true, value -> Some value
        | _ -> None

    let flag name group about : Opt<unit> = row name "" group "" about NoValue "left alone" (fun _ -> Some())

    let text name placeholder group default' about : Opt<string> = row name placeholder group default' about One "a text" Some

    let whole name placeholder group default' about : Opt<int> =
        let read (text: string) = Int32.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)
        row name placeholder group default' about One "an integer" (invariant read)

    let long name placeholder group default' about : Opt<int64> =
        let read (text: string) = Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)
        row name placeholder group default' about One "an integer" (invariant read)

    let number name placeholder group default' about : Opt<float> =
        let read (text: string) = Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture)
        row name placeholder group default' about One "a number" (invariant read)

    /// One of these words, and nothing else.
    let choice name placeholder group default' (choices: (string * 'T) list) about : Opt<'T> =
        let words = List.map fst choices
        let read (text: string) = choices |> List.tryFind (fun (word, _) -> word = text.ToLowerInvariant()) |> Option.map snd
        let o = row name placeholder group default' about One (alternatives words) read
        { o with Entry = { o.Entry with Choices = words } }

    let argument placeholder values about : Opt<string> =
        let o = row placeholder placeholder "Arguments" "" about values "a text" Some
        { o with Entry = { o.Entry with Required = true } }

    /// Lists values that the option takes, among others that the verb looks at.
    let listing choices (o: Opt<'T>) = { o with Entry = { o.Entry with Choices = choices } }

    let optional (o: Opt<'T>) = { o with Entry = { o.Entry with Required = false } }
    let required (o: Opt<'T>) = { o with Entry = { o.Entry with Required = true } }
    let valueOptional (o: Opt<'T>) = { o with Entry = { o.Entry with Values = OneOrNone } }

    /// What an option that several verbs have means for one of them.
    let meaning about (o: Opt<'T>) = { o with Entry = { o.Entry with About = about } }
    let unlessSet value (o: Opt<'T>) = { o with Entry = { o.Entry with Default = value } }
    let under group (o: Opt<'T>) = { o with Entry = { o.Entry with Group = group } }
