/// No pools: strides make images smaller, and the mean over what is left is the answer.
/// Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net", 2014; with batch norm, made small.
module OnnxLeNet.Scripts.Zoo.AllConvolutional

open OnnxLeNet.Scripts.Network

let private step filters stride = block [ conv filters 3 |> same |> strided stride |> noBias; batchNorm; relu ]

let net =
    network
        "AllConvolutional"
        [ step 32 1; step 32 2
          step 64 1; step 64 2
          step 128 1
          conv 128 1 |> noBias; batchNorm; relu
          conv 10 1
          globalAvgPool ]
