// Document 001, step by step. From the root of the repository:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Walkthroughs/output-sizes.fsx
//
// prints LeNet with 3×3 kernels: its output, loss and gradients, the loss after two updates, and the sizes 30, 15, 13, 6.
// The last line says how many checks hold; the exit code is 0 if all do, else 1.
#r "../bin/Release/net10.0/OnnxLeNet.Scripts.dll"

exit (OnnxLeNet.Scripts.Walkthroughs.Catalog.exitCode "output-sizes")
