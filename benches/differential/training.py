"""Training steps of the differential check; see operations.py for what a reference returns."""

import numpy as np
import torch
import torch.nn.functional as F

from operations import ACTIVATIONS, Case, output_sides, tensor

# The reference of a training step is moved by this relative change of all its inputs, to see how it is conditioned.
NUDGE = 1e-7
# Roundings of the scalar that one layer of one step may move a result by, beyond that condition.
TRAIN_ROUNDINGS = 8
SMOOTH = ("linear", "tanh", "logistic", "silu", "erf", "gelu", "elu", "sin")


def draw_recipe(draw, single):
    """What dense and convolutional networks have in common; in f32 without kinks, which rounding would cross."""
    return {
        "activation": draw.pick(*SMOOTH, *(() if single else ("relu", "leaky_relu(0.2)"))),
        "epsilon": draw.pick(None, 1e-5, 0.1),
        "rate": draw.pick(0.01, 0.1), "momentum": draw.pick(0.0, 0.9), "decay": draw.pick(0.0, 5e-4, 0.1),
    }


def draw_train(draw, single):
    """Inputs of one scale, as conditions otherwise explode. Rows of fewer than three weights may be next to zero, where
    the gradient of what normalises them is rounding."""
    rng = draw.rng
    inputs, classes, n = (int(rng.integers(low, 12)) for low in (3, 2, 4))
    widths = [inputs, *(int(rng.integers(3, 16)) for _ in range(rng.integers(1, 4)))]
    steps = int(rng.integers(1, 4))
    letters = "abcd"[: len(widths)]
    axes = {"batches": "an", "labels": "n", "weights": [b + a for a, b in zip(letters, letters[1:])],
            "head": "-" + letters[-1]}
    return Case(
        "train", single, axes, **draw_recipe(draw, single),
        weights=[rng.standard_normal((b, a)) * (1.5 / a) ** 0.5 for a, b in zip(widths, widths[1:])],
        head=rng.standard_normal((classes, widths[-1])) * widths[-1] ** -0.5,
        batches=[rng.standard_normal((inputs, n)) for _ in range(steps)],
        labels=[rng.integers(0, classes, n) for _ in range(steps)],
    )


def train(case):
    """Of dense layers or of convolutions."""
    def nudged(rng, x):
        return x * (1 + NUDGE * rng.choice([-1.0, 1.0], x.shape))

    (values, gain), moved = steps(case, lambda x: x), []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        moved.append(steps(case, lambda x: nudged(rng, x))[0])
    depth, fields = len(case["weights"]) * len(case["batches"]), {}
    # Gradients along what a normalisation takes away are rounding of the others, divided by its divisor.
    gradients = [x for name, value in values.items() if name.startswith("gradient") for x in value]
    gradient = gain * max(np.max(np.abs(x), initial=0.0) for x in gradients)
    for name, value in values.items():
        if name.startswith("gradient_") and name != "gradient_head" and not np.size(value[0]):
            fields[name] = (value, [np.zeros(0)] * len(value))
            continue
        parts = value if isinstance(value, list) else [value]
        others = [other[name] if isinstance(value, list) else [other[name]] for other in moved]
        bounds = []
        for k, part in enumerate(parts):
            largest = max(np.max(np.abs(part), initial=0.0), gradient)
            change = max(np.max(np.abs(part - other[k]), initial=0.0) for other in others)
            bound = TRAIN_ROUNDINGS * depth * case.info.eps * (largest + change / NUDGE)
            bounds.append(bound * np.ones(np.shape(part)))
        fields[name] = (value, bounds if isinstance(value, list) else bounds[0])
    return fields


def draw_train_images(draw, single):
    """One or two convolutions with their pooling, and a head; in f32 without maxima, which have kinks, too."""
    rng = draw.rng
    n, classes = int(rng.integers(3, 7)), int(rng.integers(2, 5))
    sides = [int(side) for side in rng.integers(3, 8, 2)]
    channels, images = [int(rng.integers(1, 4))], sides
    windows, weights = [], []
    for _ in range(rng.integers(1, 3)):
        kernel = int(rng.integers(1, 1 + min(3, *sides)))
        padding, stride = int(rng.integers(0, kernel)), int(rng.integers(1, 3))
        window = {"kernel": kernel, "stride": stride, "padding": padding, "circular": draw.chance(0.3)}
        sides = output_sides(window, *sides)
        side = draw.pick(0, 0, 2) if min(sides) > 1 else 0
        pooling = draw.pick("average", *(() if single else ("max",))) if side else "none"
        sides = [side // 2 for side in sides] if side else sides
        windows.append({**window, "pooling": pooling, "side": side})
        channels.append(int(rng.integers(2, 6)))
        inputs = channels[-2] * kernel**2
        weights.append(rng.standard_normal((channels[-1], channels[-2], kernel, kernel)) * (1.5 / inputs) ** 0.5)
    features, steps = channels[-1] * sides[0] * sides[1], int(rng.integers(1, 4))
    return Case(
        "train_images", single, {"batches": "n---", "labels": "n"}, **draw_recipe(draw, single),
        images=[channels[0], *images], windows=windows, weights=weights,
        head=rng.standard_normal((classes, features)) * features**-0.5,
        batches=[rng.standard_normal((n, channels[0], *images)) for _ in range(steps)],
        labels=[rng.integers(0, classes, n) for _ in range(steps)],
    )


def convolve(h, w, window):
    padding = [window["padding"]] * 4
    h = F.pad(h, padding, mode="circular") if window["circular"] else F.pad(h, padding)
    return F.conv2d(h, w, stride=window["stride"])


POOLS = {"none": lambda h, side: h, "average": F.avg_pool2d, "max": F.max_pool2d}


def steps(case, change):
    """What PyTorch's SGD makes of the classifier, and one over the least divisor of a normalisation; `change` moves
    the inputs."""
    act, epsilon = ACTIVATIONS[case["activation"]], case["epsilon"]
    windows = case.get("windows", [])
    weights = [tensor(change(w), grad=True) for w in (*case["weights"], case["head"])]
    batch_norm = torch.nn.BatchNorm2d if windows else torch.nn.BatchNorm1d
    norms = [batch_norm(len(w), eps=epsilon, dtype=torch.float64) for w in weights[:-1] if epsilon is not None]
    affine = [parameter for layer in norms for parameter in (layer.weight, layer.bias)]
    descent = torch.optim.SGD(
        [*weights, *affine], lr=case["rate"], momentum=case["momentum"], weight_decay=case["decay"]
    )
    losses, first, gain = [], None, 1.0
    for batch, labels in zip(case["batches"], case["labels"]):
        h = tensor(change(batch))
        h = h if windows else h.T
        for k, w in enumerate(weights[:-1]):
            h = convolve(h, w, windows[k]) if windows else h @ w.T
            if norms:
                variances = h.detach().transpose(0, 1).flatten(1).var(dim=1, unbiased=False)
                gain = max(gain, 1 / (variances + epsilon).sqrt().min().item())
            h = act(norms[k](h) if norms else h)
            h = POOLS[windows[k]["pooling"]](h, windows[k]["side"]) if windows else h
        loss = F.cross_entropy(h.flatten(1) @ weights[-1].T, torch.tensor(labels))
        descent.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if first is None:
            first = [p.grad.numpy().copy() for p in (*weights, *affine)]
        descent.step()
    count = len(weights)
    plain = lambda tensors: [x.detach().numpy().copy() for x in tensors]
    none = [np.zeros(0)] * (count - 1)
    results = {
        "losses": np.array(losses),
        "gradient": first[: count - 1],
        "gradient_head": first[count - 1],
        "gradient_gamma": first[count::2] if norms else none,
        "gradient_beta": first[count + 1 :: 2] if norms else none,
        "weights": plain(weights[:-1]),
        "head": plain(weights[-1:])[0],
        "gamma": plain(layer.weight for layer in norms),
        "beta": plain(layer.bias for layer in norms),
        "mean": plain(layer.running_mean for layer in norms),
        "variance": plain(layer.running_var for layer in norms),
    }
    return results, gain


train_images = train
