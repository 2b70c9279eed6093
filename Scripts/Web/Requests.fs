/// What a request to /predict holds: a picture, or numbers.
module OnnxLeNet.Scripts.Web.Requests

open System
open System.Buffers
open System.IO
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open Microsoft.AspNetCore.Http
open Microsoft.AspNetCore.Http.Features
open OnnxLeNet.Numerics

type Question =
    /// A picture's bytes, and what to call it.
    | Picture of name: string * byte array
    /// Pixels row after row, from 0 to 255.
    | Pixels of Picture
    /// The model's input itself.
    | Input of float32 array

let private wrong text = raise (DataException text)

let private expected =
    "expected {\"pixels\": [[0, 255, …], …]}, the rows of a grey picture or of [red, green, blue], each 0 to 255; or \
        {\"input\": [0.5, …]}, the numbers that the model takes"

let private elements (node: JsonElement) : JsonElement array =
    if node.ValueKind = JsonValueKind.Array then [| for element in node.EnumerateArray() -> element |] else wrong expected

let private pixel (node: JsonElement) =
    match (if node.ValueKind = JsonValueKind.Number then node.TryGetDouble() else (false, 0.0)) with
    | true, value when value >= 0.0 && value <= 255.0 -> byte (Math.Round value)
    | _ -> wrong $"the pixel {node.GetRawText()} is none: {expected}"

let private pixelsOf (node: JsonElement) =
    let rows = elements node |> Array.map elements
    if rows.Length = 0 || rows[0].Length = 0 then wrong $"\"pixels\" is empty: {expected}"
    if rows |> Array.exists (fun row -> row.Length <> rows[0].Length) then wrong "the rows of \"pixels\" are not all of one length"
    let channels = if (Array.head rows[0]).ValueKind = JsonValueKind.Array then 3 else 1
    let bytes =
        [| for row in rows do
               for place in row do
                   if channels = 1 then
                       yield pixel place
                   else
                       match elements place with
                       | [| _; _; _ |] as colour -> yield! Array.map pixel colour
                       | other -> wrong $"a pixel has {other.Length} numbers, expected 3: red, green and blue" |]
    OnnxLeNet.Numerics.Picture(rows[0].Length, rows.Length, channels, bytes)

let private ofJson (bytes: byte array) =
    let document =
        try
            StrictJson.ParseDocument bytes
        with :? JsonException as e ->
            wrong $"the body is no JSON: {e.Message}"
    use document = document
    let root = document.RootElement
    let field (name: string) =
        match (if root.ValueKind = JsonValueKind.Object then root.TryGetProperty name else (false, Unchecked.defaultof<_>)) with
        | true, value -> Some value
        | _ -> None
    match field "pixels", field "input" with
    | Some pixels, None -> Pixels(pixelsOf pixels)
    | None, Some input ->
        let number (node: JsonElement) =
            match (if node.ValueKind = JsonValueKind.Number then node.TryGetSingle() else (false, 0f)) with
            | true, value -> value
            | _ -> wrong $"{node.GetRawText()} in \"input\" is no number"
        Input(elements input |> Array.map number)
    | _ -> wrong $"the JSON has neither \"pixels\" nor \"input\" alone: {expected}"

/// The memory that the bodies of all requests may take together.
type Room(most: int64) =
    let mutable used = 0L

    /// A body's part of it, which grows as the body comes, and is free again when the answer is made.
    member _.Enter() =
        let mutable mine = 0L
        { new Share with
            member _.Grow bytes =
                mine <- mine + int64 bytes
                if Interlocked.Add(&used, int64 bytes) > most then
                    raise (NoRoomException $"the bodies of all requests take more than {most >>> 20} MiB: try again later")

            member _.Dispose() = Interlocked.Add(&used, -mine) |> ignore }

and Share =
    inherit IDisposable
    abstract Grow: bytes: int -> unit

/// Too much is being sent at once.
and NoRoomException(message: string) =
    inherit OnnxLeNetException(message)

/// Reads a body to its end; what is too long or too slow ends it.
let bytesOf (share: Share) (request: HttpRequest) (cancellation: CancellationToken) =
    task {
        use bytes = new MemoryStream() // of no size yet: what the head states may be a lie
        let buffer = ArrayPool.Shared.Rent 65536
        try
            let mutable more = true
            while more do
                let! count = request.Body.ReadAsync(buffer.AsMemory(), cancellation)
                share.Grow count
                bytes.Write(buffer, 0, count)
                more <- count > 0
        finally
            ArrayPool.Shared.Return buffer
        return bytes.ToArray()
    }

/// Reads the body: a form with a file, JSON, or the bytes of a picture. What is urlencoded is none: curl says so of any bytes.
let read (share: Share) (request: HttpRequest) (cancellation: CancellationToken) : Task<Question> =
    task {
        let! bytes = bytesOf share request cancellation
        if request.HasFormContentType && request.ContentType <> "application/x-www-form-urlencoded" then
            request.Body <- new MemoryStream(bytes)
            // In memory, where it is already, and not in a file.
            let! form = request.ReadFormAsync(FormOptions(MemoryBufferThreshold = bytes.Length + 1), cancellation)
            if form.Files.Count <> 1 then wrong $"the form has {form.Files.Count} files, expected one picture"
            let file = form.Files[0]
            use picture = new MemoryStream(int file.Length)
            do! file.CopyToAsync(picture, cancellation)
            return Picture((if file.FileName = "" then "the picture" else file.FileName), picture.ToArray())
        else
            return if request.HasJsonContentType() then ofJson bytes else Picture("the picture", bytes)
    }
