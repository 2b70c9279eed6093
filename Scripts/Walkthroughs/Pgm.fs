/// Grey images in PGM files, the simplest format there is: P5 (bytes) and P2 (text). http://netpbm.sourceforge.net/doc/pgm.html
module OnnxLeNet.Scripts.Walkthroughs.Pgm

open System
open System.IO
open System.Text
open OnnxLeNet.Numerics

let private damaged path what = raise (DataException $"{path} {what}")

/// The image as [1, H, W] with pixels from 0 to 1.
let read (path: string) =
    let bytes = RegularFile.ReadAll path
    let mutable at = 0
    let isSpace (b: byte) = b = byte ' ' || (b >= 9uy && b <= 13uy)
    /// The next word of the header, comments left out; empty at the end.
    let word () =
        let mutable skipping = true
        while skipping && at < bytes.Length do
            if bytes[at] = byte '#' then
                while at < bytes.Length && bytes[at] <> byte '\n' do
                    at <- at + 1
            elif isSpace bytes[at] then
                at <- at + 1
            else
                skipping <- false
        let start = at
        while at < bytes.Length && not (isSpace bytes[at]) && bytes[at] <> byte '#' do
            at <- at + 1
        Encoding.ASCII.GetString(bytes, start, at - start)
    let number what least most =
        let text = word ()
        match Int32.TryParse text with
        | true, n when n >= least && n <= most -> n
        | _ -> damaged path $"has '{text}' where its {what} should be, a number from {least} to {most}"
    let magic = if bytes.Length > 1 then Encoding.ASCII.GetString(bytes, 0, 2) else ""
    if magic <> "P5" && magic <> "P2" then damaged path "is no PGM image: it begins with neither P5 nor P2"
    at <- 2
    let width, height, most = number "width" 1 65535, number "height" 1 65535, number "largest value" 1 65535
    let count = int64 width * int64 height
    // At least one byte for a pixel, so that a damaged header asks for no more memory than the file could fill.
    if count > int64 (bytes.Length - at) then
        damaged path $"is cut short: {width}×{height} pixels do not fit in the {bytes.Length - at} bytes behind its header"
    let pixel: int -> int =
        if magic = "P2" then
            fun _ -> number "pixel" 0 most
        else
            let start, size = at + 1, if most > 255 then 2 else 1
            if count * int64 size > int64 (bytes.Length - start) then
                damaged path $"is cut short: {width}×{height} pixels need {count * int64 size} bytes, got {max 0 (bytes.Length - start)}"
            fun i -> if size = 1 then int bytes[start + i] else int bytes[start + 2 * i] * 256 + int bytes[start + 2 * i + 1]
    Tensor(Shape(1, height, width), Array.init (int count) (fun i -> min 1f (float32 (pixel i) / float32 most)))

/// Writes an image [1, H, W] as P5; what is below 0 or above 1 becomes 0 or 1.
let write (path: string) (image: Tensor) =
    let height, width = image.Shape[1], image.Shape[2]
    let header = Encoding.ASCII.GetBytes $"P5\n{width} {height}\n255\n"
    let pixels = image.Data |> Array.map (fun v -> byte (MathF.Round(255f * Math.Clamp(v, 0f, 1f))))
    AtomicFile.Write(path, Array.append header pixels)

/// A disc and a bar on a slope of grey, drawn where no image is given.
let drawn size =
    let at y x =
        let dy, dx = float32 y / float32 size - 0.5f, float32 x / float32 size - 0.5f
        if dx * dx + dy * dy < 0.06f then 0.9f
        elif abs (dy - 0.35f) < 0.04f then 0.1f
        else 0.3f + 0.4f * (dx + 0.5f)
    Tensor(Shape(1, size, size), Array.init (size * size) (fun i -> at (i / size) (i % size)))
