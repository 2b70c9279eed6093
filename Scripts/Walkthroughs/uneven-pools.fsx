// Document 000, step by step. From the root of the repository:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Walkthroughs/uneven-pools.fsx
//
// prints a LeNet whose pools are not square: its sizes after each step, the loss and the way back from it, gradients
// before and after, and conv1's bias after an update by hand and one by SGD.
// The last line says how many checks hold; the exit code is 0 if all do, else 1.
#r "../bin/Release/net10.0/OnnxLeNet.Scripts.dll"

exit (OnnxLeNet.Scripts.Walkthroughs.Catalog.exitCode "uneven-pools")
