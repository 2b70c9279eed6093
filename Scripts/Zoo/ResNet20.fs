/// ResNet-20 for small images: three stages of three blocks, each two 3×3 convolutions and a way around them.
/// He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, section 4.2.
module OnnxLeNet.Scripts.Zoo.ResNet20

open OnnxLeNet.Scripts.Network

let private unit filters stride =
    block
        [ residual
              [ conv filters 3 |> same |> strided stride |> noBias; batchNorm; relu
                conv filters 3 |> same |> noBias; batchNorm ]
          relu ]

let private stage filters stride = block [ unit filters stride; unit filters 1; unit filters 1 ]

let net =
    network
        "ResNet20"
        [ conv 16 3 |> same |> noBias; batchNorm; relu
          stage 16 1; stage 32 2; stage 64 2
          globalAvgPool
          linear 10 ]
