namespace OnnxLeNet.Numerics.Tests;

/// <summary>Networks that several tests use.</summary>
internal static class Networks
{
    /// <summary>Of images 3×4×4, as the verbs know it by the name bn-sequential.</summary>
    public static Sequential BnSequential()
    {
        var net = new Sequential();
        net.Add("conv", new Conv2d(3, 3, 3, generator: new Generator(3)));
        net.Add("bn", new BatchNorm2d(3));
        net.Add("activation", new ReLU());
        return net;
    }

    /// <summary>LeNet-5 on 1×32×32, as the verb trains it.</summary>
    public static Sequential LeNet5(long seed)
    {
        var g = new Generator(seed);
        var net = new Sequential("Net");
        net.Add("conv1", new Conv2d(1, 6, 5, generator: g));
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d(2));
        net.Add("conv2", new Conv2d(6, 16, 5, generator: g));
        net.AddFunction(new ReLU());
        net.AddFunction(new MaxPool2d(2));
        net.AddFunction(new Flatten());
        net.Add("fc1", new Linear(400, 120, generator: g));
        net.AddFunction(new ReLU());
        net.Add("fc2", new Linear(120, 84, generator: g));
        net.AddFunction(new ReLU());
        net.Add("fc3", new Linear(84, 10, generator: g));
        return net;
    }
}
