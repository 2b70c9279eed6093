/// Text from files in the cells of a card's tables: it stands there as it is, and is no markup.
module OnnxLeNet.Scripts.Markdown

open System.Text.RegularExpressions
open OnnxLeNet.Numerics

/// Words in a cell.
let cell (text: string) = Regex.Replace(DisplayText.OneLine text, @"[\\`*\[\]<>|]", (fun found -> "\\" + found.Value))

/// Code in a cell: between more backticks than it has in a row. A bar would end the cell.
let code (text: string) =
    let text = (DisplayText.OneLine text).Replace("|", "\\|")
    match [ for run in Regex.Matches(text, "`+") -> run.Length ] with
    | [] -> $"`{text}`"
    | runs ->
        let fence = System.String('`', 1 + List.max runs)
        $"{fence} {text} {fence}"
