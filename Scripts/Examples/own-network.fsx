// Your own network on your own pictures: a folder `photos` with a folder of pictures for each class. From the repository's root:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Examples/own-network.fsx
#load "../onnxlenet.fsx"

open OnnxLeNet.Scripts.Network
open OnnxLeNet.Scripts.Script

network
    "Mine"
    [ conv 16 3 |> same; batchNorm; relu; maxPool 2
      residual [ conv 32 3 |> same; batchNorm; relu; conv 32 3 |> same; batchNorm ]; relu; maxPool 2
      conv 64 3 |> same; batchNorm; relu; globalAvgPool
      linear 10 ]
|> taking 1 32
|> train "--data photos --grey --epochs 20 --batch-size 32 --augment light"
|> exit
