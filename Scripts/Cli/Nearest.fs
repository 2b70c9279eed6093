/// The word that a mistyped one was probably meant to be.
module OnnxLeNet.Scripts.Cli.Nearest

open System

/// Single-character edits from one word to the other: insertions, deletions, substitutions, and swaps of two neighbours.
let distance (a: string) (b: string) =
    let d = Array2D.init (a.Length + 1) (b.Length + 1) (fun i j -> if j = 0 then i else j)
    for i in 1 .. a.Length do
        for j in 1 .. b.Length do
            let replaced = d[i - 1, j - 1] + (if a[i - 1] = b[j - 1] then 0 else 1)
            d[i, j] <- min replaced (1 + min d[i - 1, j] d[i, j - 1])
            if i > 1 && j > 1 && a[i - 1] = b[j - 2] && a[i - 2] = b[j - 1] then
                d[i, j] <- min d[i, j] (1 + d[i - 2, j - 2])
    d[a.Length, b.Length]

/// The nearest of the words: within a third of the letters, or one that begins with what was typed.
let tryFind (words: string seq) (typed: string) =
    let letters (word: string) = word.TrimStart('-').ToLowerInvariant()
    let typed = letters typed
    let far word =
        let word = letters word
        if typed.Length > 1 && word.StartsWith(typed, StringComparison.Ordinal) then 1 else distance typed word
    words
    |> Seq.map (fun word -> word, far word)
    |> Seq.filter (fun (_, far) -> far <= max 1 (typed.Length / 3))
    |> Seq.sortBy snd
    |> Seq.tryHead
    |> Option.map fst

/// A question for the end of an error: " (did you mean --epochs?)", or nothing.
let question (words: string seq) (typed: string) =
    match tryFind words typed with
    | Some word -> $" (did you mean {word}?)"
    | None -> ""
