// Document 002, step by step. From the root of the repository:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Walkthroughs/lenet5.fsx
//
// prints LeNet-5: its output, the graph from the input to the loss, gradients of zero and of the loss, six falling losses.
// The last line says how many checks hold; the exit code is 0 if all do, else 1.
#r "../bin/Release/net10.0/OnnxLeNet.Scripts.dll"

exit (OnnxLeNet.Scripts.Walkthroughs.Catalog.exitCode "lenet5")
