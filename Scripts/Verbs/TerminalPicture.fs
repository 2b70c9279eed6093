/// A picture in the terminal: by kitty's graphics protocol, as sixels, or as half blocks, whichever the terminal has.
module OnnxLeNet.Scripts.Verbs.TerminalPicture

open System
open System.Diagnostics
open System.Text
open System.Threading
open OnnxLeNet.Numerics

type Graphics =
    /// https://sw.kovidgoyal.net/kitty/graphics-protocol/
    | Kitty
    /// DEC's raster graphics of the VT340.
    | Sixel
    /// Two pixels in a character, in colours of 24 bits.
    | HalfBlocks
    | NoGraphics

/// Milliseconds that a terminal has to say what it is.
[<Literal>]
let private Patience = 150

/// Asks the terminal for its primary device attributes (DA1): `ESC [ ? 62 ; 4 c`, where 4 is sixel graphics. Empty where it does not say.
let private deviceAttributes () =
    let answer = StringBuilder()
    Console.KeyAvailable |> ignore // takes the terminal's echo away, by which the answer would be seen
    let began = Stopwatch.GetTimestamp()
    Console.Out.Write "\u001b[c"
    Console.Out.Flush()
    while not (answer.ToString().EndsWith 'c') && Stopwatch.GetElapsedTime(began).TotalMilliseconds < float Patience do
        if Console.KeyAvailable then answer.Append(Console.ReadKey(intercept = true).KeyChar) |> ignore else Thread.Sleep 1
    string answer

/// Whether an answer to the question for device attributes names sixel graphics.
let saysSixel (answer: string) =
    let at = answer.IndexOf "[?"
    at >= 0 && Array.contains "4" (answer[at + 2 ..].TrimEnd('c').Split ';')

/// What a terminal can, by its environment; it is asked for sixels only where the environment leaves it open.
let choose (variable: string -> string option) (ask: unit -> string) =
    let has name = (variable name |> Option.defaultValue "") <> ""
    let term, program = variable "TERM" |> Option.defaultValue "", variable "TERM_PROGRAM" |> Option.defaultValue ""
    // What runs inside another program's window must go by what that shows.
    let multiplexed = has "TMUX" || term.StartsWith "screen" || term.StartsWith "tmux"
    let kitty =
        has "KITTY_WINDOW_ID"
        || term = "xterm-kitty"
        || term = "xterm-ghostty"
        || List.contains program [ "WezTerm"; "ghostty" ]
    if term = "dumb" then NoGraphics
    elif kitty && not multiplexed then Kitty
    elif saysSixel (ask ()) then Sixel
    elif List.contains (variable "COLORTERM") [ Some "truecolor"; Some "24bit" ] then HalfBlocks
    else NoGraphics

/// What this terminal can. It is asked where both its directions are ours; on Windows its answer does not reach a program so.
let private here =
    lazy
        choose (Environment.GetEnvironmentVariable >> Option.ofObj) (fun () ->
            if Console.IsInputRedirected || OperatingSystem.IsWindows() then "" else deviceAttributes ())

/// Small pictures by a whole factor larger, so that their pixels are seen, and large ones smaller.
let private sized (picture: Picture) =
    let longer = max picture.Width picture.Height
    if longer > 256 then
        let part side = max 1 (side * 256 / longer)
        picture.Resize(Size2(part picture.Height, part picture.Width), Fit.Stretch)
    else
        let factor, channels = max 1 (168 / longer), picture.Channels
        let width, height = picture.Width * factor, picture.Height * factor
        let pixels =
            Array.init (width * height * channels) (fun i ->
                let pixel = i / channels
                let row, column = pixel / width / factor, pixel % width / factor
                picture.Pixels[(row * picture.Width + column) * channels + i % channels])
        Picture(width, height, channels, pixels)

/// A PNG file in pieces of 4096 characters of base 64; q=2 keeps the terminal from answering.
let kitty (picture: Picture) =
    let pieces = Convert.ToBase64String(PngFile.Encode(sized picture)) |> Seq.chunkBySize 4096 |> Seq.map String |> Seq.toArray
    let text = StringBuilder()
    pieces
    |> Array.iteri (fun i piece ->
        let more = if i < pieces.Length - 1 then 1 else 0
        let first = if i = 0 then "a=T,f=100,q=2," else ""
        text.Append("\u001b_G" + first + $"m={more};" + piece + "\u001b\\") |> ignore)
    text.Append '\n' |> string

/// The colours of a sixel picture, as red, green and blue of 0 to 100: grey ones, or six shades of each.
let private palette channels =
    if channels = 1 then
        Array.init 101 (fun i -> i, i, i)
    else
        Array.init 216 (fun i -> 20 * (i / 36), 20 * (i / 6 % 6), 20 * (i % 6))

/// Bands of six rows; in each, for every colour that it has, a character per column whose bits say which rows have that colour.
let sixel (picture: Picture) =
    let picture = sized picture
    let colours = palette picture.Channels
    let shade steps (value: byte) = (int value * steps + 127) / 255
    let colourAt row column =
        let at = (row * picture.Width + column) * picture.Channels
        if picture.Channels = 1 then
            shade 100 picture.Pixels[at]
        else
            36 * shade 5 picture.Pixels[at] + 6 * shade 5 picture.Pixels[at + 1] + shade 5 picture.Pixels[at + 2]
    let text = StringBuilder()
    text.Append($"\u001bP0;1;0q\"1;1;{picture.Width};{picture.Height}") |> ignore
    colours |> Array.iteri (fun i (r, g, b) -> text.Append($"#{i};2;{r};{g};{b}") |> ignore)
    for top in 0..6 .. picture.Height - 1 do
        let rows = min 6 (picture.Height - top)
        let masks = Array.zeroCreate<byte array | null> colours.Length
        for row in 0 .. rows - 1 do
            for column in 0 .. picture.Width - 1 do
                let colour = colourAt (top + row) column
                let mask =
                    match masks[colour] with
                    | null -> Array.zeroCreate picture.Width
                    | mask -> mask
                mask[column] <- mask[column] ||| (1uy <<< row)
                masks[colour] <- mask
        masks
        |> Array.iteri (fun colour mask ->
            match mask with
            | null -> ()
            | mask ->
                text.Append($"#{colour}") |> ignore
                let mutable from = 0
                while from < mask.Length do
                    let mutable until = from + 1
                    while until < mask.Length && mask[until] = mask[from] do
                        until <- until + 1
                    let character = char (63 + int mask[from])
                    if until - from > 3 then
                        text.Append($"!{until - from}{character}") |> ignore
                    else
                        text.Append(character, until - from) |> ignore
                    from <- until
                text.Append '$' |> ignore)
        text.Append '-' |> ignore
    text.Append "\u001b\\\n" |> string

/// Two pixels in a character: the upper half in one colour, the lower in another.
let halfBlocks (picture: Picture) =
    let most = 40
    let longer = max picture.Width picture.Height
    let shown =
        if longer <= most then
            picture.ToColour()
        else
            let part side = max 1 (side * most / longer)
            picture.ToColour().Resize(Size2(part picture.Height, part picture.Width), Fit.Stretch)
    let colour row column =
        let at = 3 * (row * shown.Width + column)
        $"{shown.Pixels[at]};{shown.Pixels[at + 1]};{shown.Pixels[at + 2]}"
    let text = StringBuilder()
    for row in 0..2 .. shown.Height - 1 do
        text.Append "  " |> ignore
        for column in 0 .. shown.Width - 1 do
            text.Append("\u001b[38;2;" + colour row column + "m") |> ignore
            if row + 1 < shown.Height then text.Append("\u001b[48;2;" + colour (row + 1) column + "m") |> ignore
            text.Append '▀' |> ignore
        text.Append "\u001b[0m\n" |> ignore
    string text

/// Shows a picture in this terminal, if that can; never call it where standard output is none.
let show (picture: Picture) =
    match here.Value with
    | Kitty -> Console.Out.Write(kitty picture)
    | Sixel -> Console.Out.Write(sixel picture)
    | HalfBlocks -> Console.Out.Write(halfBlocks picture)
    | NoGraphics -> ()
