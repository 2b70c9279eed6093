/// train --show-augmented: what the random changes make of training images, as a picture.
module OnnxLeNet.Scripts.Verbs.ShowAugmented

open System
open OnnxLeNet.Numerics
open OnnxLeNet.Scripts
open OnnxLeNet.Scripts.Terminal
open OnnxLeNet.Scripts.Verbs.Common
open OnnxLeNet.Scripts.Verbs.TrainJob
open OnnxLeNet.Scripts.Verbs.TrainParts

let private columns, manyRows, sameRows, gap = 12, 4, 4, 2

/// Which image each place shows, and in which epoch; none as it is. First many images in one epoch, then in each row one image as it is and
/// in the epochs after.
let private places count =
    [ for row in 0 .. manyRows + sameRows - 1 do
          for column in 0 .. columns - 1 do
              if row < manyRows then
                  (row * columns + column) % count, Some 1
              else
                  (row - manyRows) % count, (if column = 0 then None else Some column) ]

/// A sheet of images on grey, small ones enlarged by whole factors.
let private sheet (shape: Shape) (images: byte[] list) =
    let factor = max 1 (64 / max shape[1] shape[2])
    let height, width = shape[1] * factor, shape[2] * factor
    let rows = images.Length / columns
    let sheetWidth, sheetHeight = columns * (width + gap) + gap, rows * (height + gap) + gap
    let channels = if shape[0] = 3 then 3 else 1
    let pixels = Array.create (sheetWidth * sheetHeight * channels) 128uy
    images
    |> List.iteri (fun i image ->
        let top, left = gap + i / columns * (height + gap), gap + i % columns * (width + gap)
        for h in 0 .. height - 1 do
            for w in 0 .. width - 1 do
                for c in 0 .. channels - 1 do
                    pixels[((top + h) * sheetWidth + left + w) * channels + c] <-
                        image[(c * shape[1] + h / factor) * shape[2] + w / factor])
    Picture(sheetWidth, sheetHeight, channels, pixels)

let run (job: Job) (data: ImageFolder) (file: string) =
    let o = if job.Options.Augment = "none" then { job.Options with Augment = "light" } else job.Options
    let images = data.Train
    let changed, plain = Augmentation.Of(o.Augment, images, o.Seed), AugmentedDataset(images, o.Seed, [])
    let changes = [ yield! Seq.map string changed.Transforms; yield! changed.MixUp |> Option.ofObj |> Option.map string |> Option.toList ]
    let bytesOf (index, epoch: int option) =
        let set = if epoch.IsSome then changed else plain
        epoch |> Option.iter set.BeginEpoch
        let bytes: byte[] = Array.zeroCreate images.Sample.Count
        set.Augment(index, Span bytes)
        bytes
    (sheet images.Sample [ for place in places images.Count -> bytesOf place ]).WritePng file
    line job.Out (String.Join('\n', changes))
    line
        job.Out
        $"{Workspace.display file}   {manyRows} rows of images in epoch 1, {sameRows} rows of one image, as it is and in epochs 1 \
            to {columns - 1}"
    job.Json
    |> Option.iter (fun file -> writeJson file (json [ "augment", o.Augment; "transforms", jsonArray changes ]))
    Exit.done'
