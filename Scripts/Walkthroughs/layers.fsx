// Document 004, step by step. From the root of the repository:
//
//     dotnet build OnnxLeNet.sln -c Release
//     dotnet fsi Scripts/Walkthroughs/layers.fsx
//
// prints layers by hand, an image sharpened and averaged, Sequential in two ways, losses, optimizer groups, initialization,
// a saved network, what cuda lacks here, and a batch split over replicas.
// The last line says how many checks hold; the exit code is 0 if all do, else 1.
#r "../bin/Release/net10.0/OnnxLeNet.Scripts.dll"

exit (OnnxLeNet.Scripts.Walkthroughs.Catalog.exitCode "layers")
