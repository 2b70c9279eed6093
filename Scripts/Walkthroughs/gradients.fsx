// Document 003, step by step. From the root of the repository:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Walkthroughs/gradients.fsx
//
// prints LeNet with 3×3 kernels, the errors of a second backward, and gradients 3, 6, 9 without and 3, 3, 3 with ZeroGrad.
// The last line says how many checks hold; the exit code is 0 if all do, else 1.
#r "../bin/Release/net10.0/OnnxLeNet.Scripts.dll"

exit (OnnxLeNet.Scripts.Walkthroughs.Catalog.exitCode "gradients")
