"""Writes convolution.csv from PyTorch in float64: python convolution.py > convolution.csv"""

import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1


def integers(seed, rows, columns, divisor=1):
    """The generator of README.md, rounded down to multiples of a divisor, as a tensor."""

    def entry(k):
        z = (((seed << 32) + k + 1) * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (((z ^ (z >> 31)) >> 56) - 128) // divisor

    entries = [entry(k) for k in range(rows * columns)]
    return torch.tensor(entries, dtype=torch.float64).reshape(rows, columns)


def text(tensor):
    return " ".join(repr(float(x)).removesuffix(".0") for x in tensor.detach().flatten())


def case(operation, shape, samples, out_channels, kernel, stride, border, padding):
    channels, height, width = shape
    divisor = 1 if operation == "convolution" else 64  # maxima with ties
    x = integers(1, channels * height * width, samples, divisor).T
    x = x.reshape(samples, *shape).clone().requires_grad_()
    weight = integers(2, out_channels, channels * kernel * kernel)
    weight = weight.reshape(out_channels, channels, kernel, kernel).clone().requires_grad_()
    if operation == "convolution":
        mode = "circular" if border == "circular" else "constant"
        y = F.conv2d(F.pad(x, [padding] * 4, mode=mode), weight, stride=stride)
    elif operation == "max":
        y = F.max_pool2d(x, kernel)
    elif operation == "average":
        y = F.avg_pool2d(x, kernel)
    else:
        y = F.adaptive_avg_pool2d(x, 1)
    g = integers(3, y[0].numel(), samples).T.reshape(y.shape)
    y.backward(g)
    weight_gradient = text(weight.grad) if operation == "convolution" else ""
    parameters = [operation, *shape, samples, out_channels, kernel, stride, border, padding]
    print(*parameters, text(y), text(x.grad), weight_gradient, sep=",")


print("operation,channels,height,width,samples,out_channels,kernel,stride,border,padding,"
      "output,input_gradient,weight_gradient")
case("convolution", (3, 4, 5), 2, 2, 3, 1, "zeros", 1)
case("convolution", (3, 4, 5), 2, 2, 3, 1, "circular", 1)
case("convolution", (2, 5, 4), 2, 3, 3, 2, "zeros", 1)
case("convolution", (2, 7, 6), 1, 1, 5, 3, "circular", 2)
case("convolution", (2, 5, 6), 1, 2, 4, 2, "zeros", 2)
case("convolution", (2, 3, 3), 2, 3, 2, 1, "zeros", 0)
case("convolution", (4, 3, 2), 2, 3, 1, 2, "zeros", 0)
case("max", (2, 5, 6), 2, 2, 2, 2, "zeros", 0)
case("max", (2, 7, 4), 1, 2, 3, 3, "zeros", 0)
case("average", (2, 5, 6), 2, 2, 2, 2, "zeros", 0)
case("average", (2, 7, 4), 1, 2, 3, 3, "zeros", 0)
case("global average", (3, 4, 3), 2, 3, 1, 1, "zeros", 0)
