import torch
from safetensors.torch import load_file


def load(path):
    """The layers of the file with rectifiers between them."""
    weights = load_file(path)
    layers = [weights[f"layers.{i}.weight"] for i in range(len(weights))]
    network = torch.nn.Sequential()
    for i, weight in enumerate(layers):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
        linear.weight = torch.nn.Parameter(weight)
        network.extend([linear] if i + 1 == len(layers) else [linear, torch.nn.ReLU()])
    return network
