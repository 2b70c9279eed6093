/// SVG as text: numbers, escaping, and how wide a text may get in a font that nobody has measured.
module OnnxLeNet.Scripts.Report.Svg

open System
open System.Globalization
open OnnxLeNet.Numerics

/// Text for an element or an attribute. What XML has no way to write, such as a control character in a layer's name, is replaced.
let escape (text: string) =
    (DisplayText.Clean text).Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("\"", "&quot;")

/// A coordinate.
let at (x: float) = (x + 0.0).ToString("0.##", CultureInfo.InvariantCulture)

let element name (attributes: (string * string) list) (content: string) =
    let attributes = attributes |> List.map (fun (key, value) -> $" {key}=\"{escape value}\"") |> String.concat ""
    if content = "" then $"<{name}{attributes}/>" else $"<{name}{attributes}>{content}</{name}>"

let text (x: float) (y: float) (css: string) (content: string) =
    element "text" [ "x", at x; "y", at y; if css <> "" then "class", css ] (escape content)

let rect (x: float) (y: float) (width: float) (height: float) (attributes: (string * string) list) =
    element "rect" ([ "x", at x; "y", at y; "width", at width; "height", at height ] @ attributes) ""

let line (x1: float) (y1: float) (x2: float) (y2: float) (css: string) =
    element "line" [ "x1", at x1; "y1", at y1; "x2", at x2; "y2", at y2; "class", css ] ""

/// A whole picture, with a name for who cannot see it. Its size is that of its drawing, but never more than its place has.
let picture (css: string) (label: string) (width: float) (height: float) (content: string) =
    element
        "svg"
        [ "xmlns", "http://www.w3.org/2000/svg"
          "class", css
          "role", "img"
          "aria-label", label
          "width", at width
          "height", at height
          "viewBox", $"0 0 {at width} {at height}" ]
        (element "title" [] (escape label) + content)

/// How wide a text is at most, in em: by the widths of DejaVu Sans, which is wider than what most systems have.
let widthOf (size: float) (text: string) =
    let em c =
        if Char.IsDigit c || c = '→' || c = '·' then 0.64
        elif "ijlI.,:;'|![]() ".Contains c then 0.38
        elif "mwMW@%".Contains c then 0.96
        elif Char.IsUpper c || c > '\u00FF' then 0.76
        else 0.61
    size * Seq.sumBy em text

/// As much of a text as a width has room for.
let fit size (width: float) (text: string) =
    if widthOf size text <= width then
        text
    else
        let rest = width - widthOf size "…"
        let shown = Seq.initInfinite (fun i -> text[..i]) |> Seq.takeWhile (fun part -> widthOf size part <= rest) |> Seq.tryLast
        defaultArg shown "" + "…"
