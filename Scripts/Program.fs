module OnnxLeNet.Scripts.Program

[<EntryPoint>]
let main _ = 0
