/// A filter for each channel, then 1×1 convolutions between channels, over and over.
/// Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.
module OnnxLeNet.Scripts.Zoo.SmallMobileNet

open OnnxLeNet.Scripts.Network

let private separable filters stride =
    block
        [ depthwise 3 |> strided stride |> noBias; batchNorm; relu
          conv filters 1 |> noBias; batchNorm; relu ]

let net =
    network
        "SmallMobileNet"
        [ conv 32 3 |> same |> noBias; batchNorm; relu
          separable 64 1
          separable 128 2; separable 128 1
          separable 256 2; separable 256 1
          globalAvgPool
          linear 10 ]
