/// Fire modules: few 1×1 filters squeeze what many 1×1 and 3×3 filters then expand.
/// Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016; with batch norm, and made small.
module OnnxLeNet.Scripts.Zoo.SmallSqueezeNet

open OnnxLeNet.Scripts.Network

let private fire squeezed expanded =
    block
        [ conv squeezed 1 |> noBias; batchNorm; relu
          branches [ [ conv expanded 1 |> noBias; batchNorm ]; [ conv expanded 3 |> same |> noBias; batchNorm ] ]
          relu ]

let net =
    network
        "SmallSqueezeNet"
        [ conv 32 3 |> same |> noBias; batchNorm; relu; maxPool 2
          fire 16 32; fire 16 32; maxPool 2
          fire 32 64; fire 32 64
          dropout 0.2
          conv 10 1; globalAvgPool ]
