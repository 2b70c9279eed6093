/// LeNet-5 nearly as it was: tanh, average pools, a last convolution that sees all that is left.
/// LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998, section II.B. Its pools had a weight
/// and a bias for each channel, its second convolution left out connections, its outputs were distances: here they are what came later.
module OnnxLeNet.Scripts.Zoo.LeNet5Of1998

open OnnxLeNet.Scripts.Network

let net =
    network
        "LeNet5"
        [ conv 6 5; tanh; avgPool 2
          conv 16 5; tanh; avgPool 2
          conv 120 5; tanh
          linear 84; tanh
          linear 10 ]
