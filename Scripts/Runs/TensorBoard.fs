/// Event files as TensorBoard reads them: records of a length, its checksum, an Event of tensorboard/compat/proto/event.proto and that
/// one's checksum. Only scalars and histograms are written and read.
module OnnxLeNet.Scripts.Runs.TensorBoard

open System
open System.Buffers.Binary
open System.IO
open System.Numerics
open Google.Protobuf
open OnnxLeNet.Numerics

type Histogram =
    {
        Min: float
        Max: float
        Sum: float
        SumOfSquares: float
        /// The upper end of each bucket; a bucket begins where the one before it ends.
        Limits: float array
        Counts: float array
    }

type Value =
    | Scalar of float
    | Histogram of Histogram

type Event =
    {
        /// Seconds since 1970.
        WallTime: float
        /// Updates done.
        Step: int64
        Values: (string * Value) list
    }

/// CRC-32C of some bytes, turned and moved as the records have it.
let private checksum (bytes: ReadOnlySpan<byte>) =
    let mutable crc = UInt32.MaxValue
    for b in bytes do
        crc <- BitOperations.Crc32C(crc, b)
    BitOperations.RotateRight(~~~crc, 15) + 0xA282EAD8u

// ---- the messages ----

/// The bytes of a message whose fields a function writes.
let private message (write: CodedOutputStream -> unit) =
    use bytes = new MemoryStream()
    use out = new CodedOutputStream(bytes, 256)
    write out
    out.Flush()
    ByteString.CopyFrom(bytes.ToArray())

let private field number kind (out: CodedOutputStream) = out.WriteTag(number, kind)

let private double number (value: float) (out: CodedOutputStream) =
    field number WireFormat.WireType.Fixed64 out
    out.WriteDouble value

let private bytes number (value: ByteString) (out: CodedOutputStream) =
    field number WireFormat.WireType.LengthDelimited out
    out.WriteBytes value

let private doubles number (values: float array) (out: CodedOutputStream) =
    field number WireFormat.WireType.LengthDelimited out
    out.WriteLength(8 * values.Length)
    for value in values do
        out.WriteDouble value

let private histogram (h: Histogram) =
    message (fun out ->
        double 1 h.Min out
        double 2 h.Max out
        double 3 (Array.sum h.Counts) out
        double 4 h.Sum out
        double 5 h.SumOfSquares out
        doubles 6 h.Limits out
        doubles 7 h.Counts out)

let private value (tag: string, value: Value) =
    message (fun out ->
        bytes 1 (ByteString.CopyFromUtf8 tag) out
        match value with
        | Scalar number ->
            field 2 WireFormat.WireType.Fixed32 out
            out.WriteFloat(float32 number)
        | Histogram h -> bytes 5 (histogram h) out)

let private eventMessage (event: Event) =
    message (fun out ->
        double 1 event.WallTime out
        field 2 WireFormat.WireType.Varint out
        out.WriteInt64 event.Step
        bytes 5 (message (fun out -> for v in event.Values do bytes 1 (value v) out)) out)

let private versionMessage (wallTime: float) =
    message (fun out ->
        double 1 wallTime out
        bytes 3 (ByteString.CopyFromUtf8 "brain.Event:2") out)

let private writeRecord (to': Stream) (data: ByteString) =
    let head = Array.zeroCreate<byte> 12
    BinaryPrimitives.WriteInt64LittleEndian(head, int64 data.Length)
    BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan 8, checksum (ReadOnlySpan(head, 0, 8)))
    to'.Write head
    data.WriteTo to'
    let foot = Array.zeroCreate<byte> 4
    BinaryPrimitives.WriteUInt32LittleEndian(foot, checksum data.Span)
    to'.Write foot

/// Appends events to a file, which begins with its version.
let append (path: string) (events: Event seq) =
    use buffer = new MemoryStream()
    if not (File.Exists path) || FileInfo(path).Length = 0L then
        writeRecord buffer (versionMessage (float (DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()) / 1000.0))
    for event in events do
        writeRecord buffer (eventMessage event)
    use file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)
    file.Write(buffer.GetBuffer(), 0, int buffer.Length)

// ---- reading them again ----

/// Calls a function with each field's number until the message ends; it reads the field and says whether it knew it.
let private fields (data: ByteString) (read: CodedInputStream -> int -> bool) =
    let input = data.CreateCodedInput()
    let mutable tag = input.ReadTag()
    while tag <> 0u do
        if not (read input (WireFormat.GetTagFieldNumber tag)) then input.SkipLastField()
        tag <- input.ReadTag()

let private readDoubles (data: ByteString) =
    Array.init (data.Length / 8) (fun i -> BinaryPrimitives.ReadDoubleLittleEndian(data.Span.Slice(8 * i)))

let private readHistogram (data: ByteString) =
    let mutable h = { Min = 0.0; Max = 0.0; Sum = 0.0; SumOfSquares = 0.0; Limits = [||]; Counts = [||] }
    fields data (fun input number ->
        match number with
        | 1 -> h <- { h with Min = input.ReadDouble() }
        | 2 -> h <- { h with Max = input.ReadDouble() }
        | 4 -> h <- { h with Sum = input.ReadDouble() }
        | 5 -> h <- { h with SumOfSquares = input.ReadDouble() }
        | 6 -> h <- { h with Limits = readDoubles (input.ReadBytes()) }
        | 7 -> h <- { h with Counts = readDoubles (input.ReadBytes()) }
        | _ -> ()
        number <> 3 && number < 8)
    h

let private readValue (data: ByteString) =
    let mutable tag, value = "", None
    fields data (fun input number ->
        match number with
        | 1 -> tag <- input.ReadString()
        | 2 -> value <- Some(Scalar(float (input.ReadFloat())))
        | 5 -> value <- Some(Histogram(readHistogram (input.ReadBytes())))
        | _ -> ()
        number = 1 || number = 2 || number = 5)
    value |> Option.map (fun value -> tag, value)

let private readEvent (data: ByteString) =
    let mutable event = { WallTime = 0.0; Step = 0L; Values = [] }
    fields data (fun input number ->
        match number with
        | 1 -> event <- { event with WallTime = input.ReadDouble() }
        | 2 -> event <- { event with Step = input.ReadInt64() }
        | 5 ->
            let values = ResizeArray()
            fields (input.ReadBytes()) (fun input number ->
                if number = 1 then readValue (input.ReadBytes()) |> Option.iter values.Add
                number = 1)
            event <- { event with Values = List.ofSeq values }
        | _ -> ()
        number = 1 || number = 2 || number = 5)
    event

/// The events of a file, each with the place where its record begins. A last record that is not whole is the end: whoever wrote it was
/// killed meanwhile.
let private records (path: string) =
    let all = File.ReadAllBytes path
    let damaged at why = raise (DataException $"{path} is a damaged event file: {why} at byte {at}")
    let word (at: int) = BinaryPrimitives.ReadUInt32LittleEndian(ReadOnlySpan(all, at, 4))
    let found = ResizeArray()
    let mutable at, whole = 0, true
    while whole && all.Length - at >= 12 do
        let length = BinaryPrimitives.ReadInt64LittleEndian(ReadOnlySpan(all, at, 8))
        if word (at + 8) <> checksum (ReadOnlySpan(all, at, 8)) then damaged at "a length's checksum is wrong"
        whole <- length >= 0L && length <= int64 (all.Length - at - 16)
        if whole then
            let rest = at + 12 + int length
            if word rest <> checksum (ReadOnlySpan(all, at + 12, int length)) then damaged at "a record's checksum is wrong"
            try
                found.Add(at, readEvent (ByteString.CopyFrom(all, at + 12, int length)))
            with :? InvalidProtocolBufferException as e ->
                damaged at e.Message
            at <- rest + 4
    List.ofSeq found

/// The events of a file.
let read (path: string) = records path |> List.map snd

/// Cuts off a file what comes after an update, and what is not whole.
let cutAfter (step: int64) (path: string) =
    let last = records path |> List.takeWhile (fun (_, event) -> event.Step <= step) |> List.tryLast
    use file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite)
    match last with
    | None -> file.SetLength 0L
    | Some(at, _) ->
        let head = Array.zeroCreate<byte> 8
        file.Position <- int64 at
        file.ReadExactly head
        file.SetLength(int64 at + 16L + BinaryPrimitives.ReadInt64LittleEndian head)
