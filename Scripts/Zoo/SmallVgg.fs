/// Pairs of 3×3 convolutions between pools, with batch norm.
/// Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014 (the idea: small kernels in pairs);
/// Ioffe, Szegedy, "Batch Normalization", 2015.
module OnnxLeNet.Scripts.Zoo.SmallVgg

open OnnxLeNet.Scripts.Network

let private pair filters =
    block
        [ conv filters 3 |> same |> noBias; batchNorm; relu
          conv filters 3 |> same |> noBias; batchNorm; relu ]

let net =
    network
        "SmallVgg"
        [ pair 32; maxPool 2
          pair 64; maxPool 2
          pair 128; globalAvgPool
          dropout 0.2
          linear 10 ]
