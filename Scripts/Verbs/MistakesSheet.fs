/// evaluate --mistakes: the worst mistakes as a sheet of pictures. As SVG each has its two classes under it, in any script.
module OnnxLeNet.Scripts.Verbs.MistakesSheet

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Text
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts.Report
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common

let private columns, most = 10, 100

/// The sides of an SVG's cell and of the picture in it, in pixels.
let private cellWidth, cellHeight, side, gap = 132, 148, 96, 12

/// What --mistakes may end in.
let requireEnding (file: string) =
    match (nonNull (Path.GetExtension file)).ToLowerInvariant() with
    | ".png"
    | ".svg" -> ()
    | _ -> badOption "--mistakes" file "a file that ends in .svg, pictures with their classes, or .png, the pictures alone"

/// Text between tags, on one line.
let private escaped (text: string) = Svg.escape (oneLine text)

/// At most so many characters as a person counts them.
let private short most (name: string) =
    let characters = StringInfo name
    if characters.LengthInTextElements <= most then name else characters.SubstringByTextElements(0, most - 1) + "…"

let private style =
    "svg { background: #fff; color: #1a1a1a; font: 12px system-ui, sans-serif } image { image-rendering: pixelated } \
     text { fill: currentColor; text-anchor: middle } .wrong { font-weight: 600 } \
     @media (prefers-color-scheme: dark) { svg { background: #161616; color: #e8e8e8 } }"

let private svg (data: ImageDataset) (names: IReadOnlyList<string>) (mistakes: Mistake list) =
    let wide = min columns mistakes.Length
    let rows = (mistakes.Length + wide - 1) / wide
    let width, height = wide * cellWidth + gap, rows * cellHeight + gap
    let text = StringBuilder()
    let line (part: string) = text.Append(part).Append '\n' |> ignore
    line $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
    line $"<style>{style}</style>"
    mistakes
    |> List.iteri (fun i mistake ->
        let left, top = gap / 2 + i % wide * cellWidth, gap + i / wide * cellHeight
        let middle = left + cellWidth / 2
        let label, predicted = names[mistake.Label], names[mistake.Predicted]
        let file = if data.FileNames.Count > 0 then data.FileNames[mistake.Index] else $"image {mistake.Index}"
        let png = Convert.ToBase64String(PngFile.Encode(data.PictureAt mistake.Index))
        line $"<g><title>{escaped file}: {escaped label}, taken for {escaped predicted} with {percent mistake.Probability}</title>"
        line $"<image x=\"{middle - side / 2}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" href=\"data:image/png;base64,{png}\"/>"
        let caption = escaped (short 12 predicted)
        line $"<text class=\"wrong\" x=\"{middle}\" y=\"{top + side + 16}\">{caption} {percent mistake.Probability}</text>"
        line $"<text x=\"{middle}\" y=\"{top + side + 32}\">is {escaped (short 18 label)}</text></g>")
    line "</svg>"
    string text

/// Writes the worst mistakes in the order of the list, row after row; whether there are any.
let write (data: ImageDataset) (names: IReadOnlyList<string>) (m: ClassificationMetrics) (path: string) =
    let mistakes = m.Mistakes |> Seq.truncate most |> Seq.toList
    if mistakes.IsEmpty then
        false
    elif path.EndsWith(".svg", StringComparison.OrdinalIgnoreCase) then
        AtomicFile.Write(path, svg data names mistakes)
        true
    else
        let pictures = [| for mistake in mistakes -> data.PictureAt mistake.Index |]
        PictureSheet.Of(pictures, columns, max 1 (56 / max pictures[0].Width pictures[0].Height)).WritePng path
        true
