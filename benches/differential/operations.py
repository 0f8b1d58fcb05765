"""The operations of the differential check: how their cases are drawn, and what PyTorch, SciPy and POT say to them.

The reference is computed in float64 on the very numbers that orthogap gets, so in f32 the difference is the error of
orthogap. An operation returns fields, each a value with the largest difference that rounding explains: so many
roundings of the scalar (`ROUNDINGS`) of the terms that are added, not of their sum, and one rounding of float64 for
each addition. Where orthogap has an error by convention and the peers have NaN, `Refused` names it.
"""

import numpy as np
import torch
import torch.nn.functional as F

DOUBLE = np.finfo(np.float64)
# Roundings of the scalar, relative to the terms of the sums.
ROUNDINGS = {
    "batch_norm": 3,  # sums are in f64: the centring, the divisor, the quotient
    "trainable_batch_norm": 6,  # the same, scale and shift; running statistics are rounded at every batch
    "sample_norm": 3,
    "activation": 6,  # 2 to 6 ulp are promised; GELU has x^2 more, those of the reference
    "convolution": 1,  # for each term
    "pooling": 1,
    "loss": 2,
}


class Refused(Exception):
    """orthogap answers by this error."""


class Case(dict):
    """The input of an operation, arrays and numbers; `axes` names the axes of the arrays that shrink together."""

    def __init__(self, operation, single, axes, **fields):
        super().__init__(fields)
        self.operation, self.single, self.axes = operation, single, axes
        for name, value in self.items():
            self[name] = self.rounded(value)

    def rounded(self, value):
        """In the precision of the scalar."""
        if isinstance(value, list):
            return [self.rounded(item) for item in value]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and self.single:
            return value.astype(np.float32).astype(np.float64)
        return value

    def replaced(self, **fields):
        """The same with other fields; the gradient of images has the sides of their output."""
        case = Case(self.operation, self.single, self.axes, **{**self, **fields})
        if self.operation in ("convolution", "pooling"):
            rows, columns = output_sides(case, *case["h"].shape[2:])
            case["gradient"] = case["gradient"][:, :, :rows, :columns]
        return case

    @property
    def info(self):
        return np.finfo(np.float32 if self.single else np.float64)

    def roundings(self, terms=1):
        """The error of so many additions, relative to the terms."""
        return ROUNDINGS[self.operation] * self.info.eps + terms * DOUBLE.eps


class Draw:
    """Random shapes, scales and degenerate rows."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def chance(self, probability):
        return self.rng.random() < probability

    def size(self, most=40, large=0.03):
        """Small ones mostly; a few of some hundreds."""
        if self.chance(large):
            return int(self.rng.integers(most, 8 * most))
        return int(self.rng.integers(1, 1 + self.rng.choice([3, 9, most])))

    def scale(self, exponent=30):
        return 10.0 ** self.rng.uniform(-exponent, exponent) if self.chance(0.5) else 1.0

    def normal(self, *shape, exponent=30):
        x = self.rng.standard_normal(shape)
        if self.chance(0.15):
            x = np.round(2 * x)  # ties and zeros
        return x * self.scale(exponent)

    def matrix(self, d, n, exponent=30):
        """Rows of one scale or of several, some of them zero, constant or nearly so."""
        h = self.normal(d, n, exponent=exponent)
        if self.chance(0.3):
            h *= 10.0 ** self.rng.uniform(-3, 3, (d, 1))
        if self.chance(0.3):
            row, kind = self.rng.integers(d), self.rng.integers(4)
            base = h[row, 0] or 1.0
            if kind == 0:
                h[row] = 0.0
            elif kind == 1:
                h[row] = base
            else:
                h[row] = base * (1 + 10.0 ** -self.rng.uniform(3, 15) * self.rng.standard_normal(n))
        if n > 1 and self.chance(0.1):
            h[:, 1] = h[:, 0]
        return h

    def epsilon(self):
        return float(self.rng.choice([0.0, 1e-12, 1e-5, 0.1]))

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]


def tensor(x, grad=False):
    return torch.tensor(x, dtype=torch.float64, requires_grad=grad)


def overflows(case, *values):
    """Whether a value exceeds the range of the scalar."""
    return any(np.max(np.abs(value), initial=0.0) > case.info.max for value in values)


def of_rows(case, h, gradient, centered, unit_rms, epsilon, degenerate, operator):
    """Rows normalised by `operator`, with their pullback; rows are shifted by their first entry, exactly where they
    are nearly constant, so that the reference does not cancel."""
    shifted = h - h[:, :1] if centered else h
    deviation = shifted - shifted.mean(axis=1, keepdims=True) if centered else h
    n = h.shape[1]
    if epsilon == 0.0 and not np.all(np.any(shifted != 0.0, axis=1)):
        raise Refused(degenerate)
    rho = np.sqrt(n) if unit_rms else 1.0
    divisor = np.sqrt(np.sum(deviation**2, axis=1, keepdims=True) + n * epsilon) / rho
    x = tensor(shifted, grad=True)
    forward = operator(x)
    forward.backward(tensor(gradient))
    backward = x.grad.numpy()
    if overflows(case, backward):
        raise Refused("Overflow")
    forward = forward.detach().numpy()
    largest = np.max(np.abs(shifted) / divisor, axis=1, keepdims=True)
    scale = np.linalg.norm(gradient, axis=1, keepdims=True) / divisor
    rounding = case.roundings(n)
    return {
        "forward": (forward, rounding * largest),
        "backward": (backward, rounding * scale + case.info.tiny),
    }


def draw_batch_norm(draw, single):
    d, n = draw.size(), draw.size()
    return Case("batch_norm", single, {"h": "dn", "gradient": "dn"}, centered=draw.chance(0.5),
                unit_rms=draw.chance(0.5), epsilon=draw.epsilon(), h=draw.matrix(d, n),
                gradient=draw.normal(d, n, exponent=5))


def batch_norm(case):
    h, n, epsilon = case["h"], case["h"].shape[1], case["epsilon"]
    centered, unit_rms = case["centered"], case["unit_rms"]
    if centered and n == 1:
        raise Refused("BatchTooSmall")

    def operator(x):
        if centered:
            # Behind F.batch_norm, which has no epsilon of zero.
            u = torch.batch_norm(x.T, None, None, None, None, True, 0.0, epsilon, False).T
        elif epsilon == 0.0:
            u = F.normalize(x, dim=1, eps=0.0) * n**0.5
        else:
            u = F.rms_norm(x, (n,), eps=epsilon)
        return u if unit_rms else u / n**0.5

    return of_rows(case, h, case["gradient"], centered, unit_rms, epsilon, "DegenerateRow", operator)


def draw_sample_norm(draw, single):
    groups = draw.pick(1, 2, 3)
    kind = draw.pick("layer", "rms", "group")
    if kind != "group":
        groups = 1
    d, n = groups * draw.size(), draw.size()
    return Case("sample_norm", single, {"h": "-n", "gradient": "-n"}, kind=kind, groups=groups,
                epsilon=draw.epsilon(), h=draw.matrix(n, d).T.copy(), gradient=draw.normal(d, n, exponent=5))


def sample_norm(case):
    h, groups, epsilon, kind = case["h"], case["groups"], case["epsilon"], case["kind"]
    d, n = h.shape

    def rows(x):
        return x.T.reshape(n * groups, d // groups)

    def operator(x):
        if kind == "rms":
            return F.rms_norm(x, (d,), eps=epsilon)
        if kind == "layer":
            return F.layer_norm(x, (d,), eps=epsilon)
        return torch.group_norm(x.reshape(n, d), groups, eps=epsilon).reshape(n * groups, d // groups)

    fields = of_rows(case, rows(h), rows(case["gradient"]), kind != "rms", True, epsilon, "DegenerateSample", operator)
    back = lambda x: np.broadcast_to(x, (n * groups, d // groups)).reshape(n, d).T
    return {name: (back(value), back(bound)) for name, (value, bound) in fields.items()}


def draw_trainable_batch_norm(draw, single):
    d, n, exponent = draw.size(), draw.size(), 15
    return Case("trainable_batch_norm", single, {"batches": "dn", "other": "d-", "gamma": "d", "beta": "d"},
                epsilon=float(draw.pick(1e-12, 1e-5, 0.1)), momentum=float(draw.pick(0.0, 0.1, 0.5, 1.0)),
                gamma=draw.normal(d, exponent=3), beta=draw.normal(d, exponent=3),
                batches=[draw.matrix(d, n, exponent) for _ in range(draw.rng.integers(1, 4))],
                other=draw.matrix(d, draw.size(), exponent))


def trainable_batch_norm(case):
    gamma, beta, epsilon, momentum = case["gamma"], case["beta"], case["epsilon"], case["momentum"]
    batches, other = case["batches"], case["other"]
    d, n = batches[0].shape
    if n == 1:
        raise Refused("BatchTooSmall")
    layer = torch.nn.BatchNorm1d(d, eps=epsilon, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(tensor(gamma))
        layer.bias.copy_(tensor(beta))
        column = lambda x: np.abs(x)[:, None]
        rounding, outputs, bounds = case.roundings(n), [], []
        size, variance_size = np.zeros(d), np.ones(d)
        for batch in batches:
            layer(tensor(batch.T))  # for the running mean
            shifted = batch - batch[:, :1]
            variance = shifted.var(axis=1, ddof=1)
            if overflows(case, variance):
                raise Refused("Overflow")
            u = F.batch_norm(tensor(shifted.T), None, None, tensor(gamma), tensor(beta), training=True, eps=epsilon)
            u = u.numpy().T
            if overflows(case, u):
                raise Refused("Overflow")
            deviation = np.sqrt(shifted.var(axis=1) + epsilon)[:, None]
            largest = np.max(np.abs(shifted) / deviation, axis=1, keepdims=True)
            outputs.append(u)
            bounds.append(rounding * (column(gamma) * largest + column(beta)) + case.info.tiny)
            size = np.maximum(size, np.max(np.abs(batch), axis=1))
            # The variance of the reference cancels where a row is nearly constant.
            variance_size = np.maximum(variance_size, variance)
        layer.eval()
        mean, variance = layer.running_mean.numpy(), layer.running_var.numpy()
        unit = 1 / np.sqrt(variance + epsilon)
        infer = layer(tensor(other.T)).numpy().T
    if overflows(case, infer):
        raise Refused("Overflow")
    # A running variance that has lost its digits, from 1 downwards, has no relative error.
    relative = np.where(variance > 0, variance_size / (variance + epsilon), np.inf)
    noise = DOUBLE.eps * size**2 * n
    bound = rounding * variance_size + noise + case.info.tiny
    relative = np.minimum(relative, 1.0) + (noise + case.info.tiny / case.info.eps) / (variance + epsilon) / rounding
    terms = column(gamma) * (np.abs(other) + column(size)) * unit[:, None]
    return {
        "train": (outputs, bounds),
        "mean": (mean, rounding * size + case.info.tiny),
        "variance": (variance, bound),
        "infer": (infer, rounding * (terms * (1 + relative[:, None]) + column(beta)) + case.info.tiny),
    }


ACTIVATIONS = {
    "linear": lambda x: x * 1.0,
    "relu": F.relu,
    "leaky_relu(0.2)": lambda x: F.leaky_relu(x, 0.2),
    "leaky_relu(-0.5)": lambda x: F.leaky_relu(x, -0.5),
    "tanh": torch.tanh,
    "shifted_tanh": lambda x: 2 * torch.sigmoid(2 * x),  # 1 + tanh x, without its cancellation
    "logistic": torch.sigmoid,
    "silu": F.silu,
    "erf": torch.erf,
    "gelu": lambda x: 0.5 * x * torch.erfc(-x * 0.5**0.5),  # the tail, without a cancellation
    "elu": F.elu,
    "sin": torch.sin,
}


def draw_activation(draw, single):
    x = draw.normal(draw.size()) * draw.pick(1.0, 1.0, 10.0, 100.0)
    return Case("activation", single, {"x": "n"}, name=draw.pick(*ACTIVATIONS), x=x)


def activation(case):
    x, name = tensor(case["x"], grad=True), case["name"]
    values = ACTIVATIONS[name](x)
    values.sum().backward()
    values = values.detach().numpy()
    extra = DOUBLE.eps * np.minimum(case["x"] ** 2, 2000.0) if name == "gelu" else 0.0
    slope = np.float32(0.2) - 0.2 if single_slope(case) else 0.0
    # Derivatives are in f64 for either scalar; those of PyTorch have absolute errors. That of SiLU is
    # s (1 + x (1 - s)), where 1 - s is exact to one rounding of 1.
    by_x = np.minimum(np.abs(case["x"]), 40.0) if name == "silu" else 0.0
    return {
        "values": (values, (case.roundings() + extra + abs(slope)) * np.abs(values) + 4 * case.info.tiny),
        "derivatives": (x.grad.numpy(), DOUBLE.eps * (8 + by_x) * np.ones_like(values)),
    }


def single_slope(case):
    return case.single and case["name"] == "leaky_relu(0.2)"


def output_sides(case, *sides):
    """Of a convolution or a pooling; at least 1, also where there is none."""
    if case.get("kind") == "global":
        return 1, 1
    if "kernel" in case:
        reach = 2 * case["padding"] - case["kernel"]
        return tuple(max((side + reach) // case["stride"] + 1, 1) for side in sides)
    return tuple(max(side // case["side"], 1) for side in sides)


def draw_images(draw):
    n, c = (int(draw.rng.integers(1, k)) for k in (5, 6))
    y, x = draw.size(12, 0), draw.size(12, 0)
    return (n, c, y, x), draw.normal(n, c, y, x, exponent=15)


def draw_convolution(draw, single):
    (n, c, y, x), h = draw_images(draw)
    kernel = int(draw.rng.integers(1, 6))
    padding, stride = int(draw.rng.integers(0, kernel)), int(draw.rng.integers(1, 4))
    circular = draw.chance(0.3) and padding <= min(y, x)
    out = int(draw.rng.integers(1, 7))
    window = {"kernel": kernel, "stride": stride, "padding": padding}
    return Case("convolution", single, {"h": "ncyx", "gradient": "no--", "weights": "oc--"}, **window,
                circular=circular, h=h, gradient=draw.normal(n, out, *output_sides(window, y, x), exponent=5),
                weights=draw.normal(out, c, kernel, kernel, exponent=10))


def convolution(case):
    kernel, stride, padding = case["kernel"], case["stride"], case["padding"]
    n, c, *sides = case["h"].shape
    if kernel > min(sides) + 2 * padding:
        raise Refused("InvalidParameter")

    def run(h, weights, gradient):
        h, weights = tensor(h, grad=True), tensor(weights, grad=True)
        if case["circular"] and padding:
            padded = F.pad(h, (padding,) * 4, mode="circular")
            forward = F.conv2d(padded, weights, stride=stride)
        else:
            forward = F.conv2d(h, weights, stride=stride, padding=padding)
        forward.backward(tensor(gradient))
        return forward.detach().numpy(), h.grad.numpy(), weights.grad.numpy()

    inputs = [case[name] for name in ("h", "weights", "gradient")]
    values, sizes = run(*inputs), run(*map(np.abs, inputs))
    if overflows(case, *sizes):
        raise Refused("Overflow")
    out, (oy, ox) = len(case["weights"]), case["gradient"].shape[2:]
    terms = (c * kernel**2, out * kernel**2, n * oy * ox)
    names = ("forward", "backward", "by_weights")
    return {
        name: (value, (k + 4) * case.roundings() * size + k * case.info.tiny)
        for name, value, size, k in zip(names, values, sizes, terms)
    }


def draw_pooling(draw, single):
    (n, c, y, x), h = draw_images(draw)
    side = int(draw.rng.integers(1, 1 + min(4, y, x)))
    if draw.chance(0.05):
        side = int(draw.rng.integers(1, 14))  # a window larger than the image, perhaps
    kind = draw.pick("max", "average", "global")
    sides = output_sides({"kind": kind, "side": side}, y, x)
    return Case("pooling", single, {"h": "ncyx", "gradient": "nc--"}, kind=kind, side=side, h=h,
                gradient=draw.normal(n, c, *sides, exponent=10))


def pooling(case):
    kind, side = case["kind"], case["side"]
    if kind != "global" and side > min(case["h"].shape[2:]):
        raise Refused("InvalidParameter")

    def run(h, gradient):
        h = tensor(h, grad=True)
        if kind == "max":
            forward = F.max_pool2d(h, side)
        elif kind == "average":
            forward = F.avg_pool2d(h, side)
        else:
            forward = F.adaptive_avg_pool2d(h, 1)
        forward.backward(tensor(gradient))
        return forward.detach().numpy(), h.grad.numpy()

    values, sizes = run(case["h"], case["gradient"]), run(np.abs(case["h"]), np.abs(case["gradient"]))
    if kind == "max":  # nothing is rounded
        return {name: (value, np.zeros_like(value)) for name, value in zip(("forward", "backward"), values)}
    terms = np.prod(case["h"].shape[2:]) if kind == "global" else side**2
    # The scalar's own arithmetic may add up a window.
    bound = case.roundings(terms) + terms * case.info.eps
    forward, backward = ((value, bound * size + case.info.tiny) for value, size in zip(values, sizes))
    return {"forward": forward, "backward": backward}


def draw_loss(draw, single):
    classes, n = draw.size(), draw.size()
    return Case("loss", single, {"logits": "cn", "labels": "n"}, labels=draw.rng.integers(0, classes, n),
                logits=draw.normal(classes, n, exponent=3))


def loss(case):
    logits, labels = case["logits"], case["labels"]
    classes, n = logits.shape
    z = tensor(logits.T, grad=True)
    value = F.cross_entropy(z, torch.tensor(labels))
    value.backward()
    excess = logits.max(axis=0) - logits[labels, np.arange(n)]
    accuracy = np.mean(np.argmax(logits, axis=0) == labels)
    gradient = z.grad.numpy().T
    # Losses are in f64 for either scalar.
    size = np.mean(np.abs(excess)) + np.log(classes) + np.mean(np.max(np.abs(logits), axis=0)) + 1
    rounding = (8 + classes + n) * DOUBLE.eps
    # The reference exponentiates differences of rounded logarithms.
    own = DOUBLE.eps * (classes + np.max(np.abs(logits), axis=0)) / n
    return {
        "loss": (value.item(), rounding * size),
        "accuracy": (accuracy, DOUBLE.eps),
        "backward": (gradient, case.roundings() * np.abs(gradient) + 4 * own + case.info.tiny),
    }
