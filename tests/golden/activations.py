"""Prints activations.csv: activations and their derivatives by mpmath in 60 digits, then rounded."""

from mpmath import cos, cosh, erf, erfc, exp, expm1, mp, mpf, pi, sin, sqrt, tanh

mp.dps = 60
NAMES = "tanh shifted_tanh logistic silu erf gelu sin elu".split()


def values(x):
    e = exp(-abs(x))
    logistic = 1 / (1 + e) if x >= 0 else e / (1 + e)
    normal = erfc(-x / sqrt(mpf(2))) / 2
    density = exp(-x * x / 2) / sqrt(2 * pi)
    slope = e / (1 + e) ** 2
    shifted = 2 / (1 + exp(-2 * x))
    functions = [tanh(x), shifted, logistic, x * logistic, erf(x), x * normal, sin(x)]
    functions += [x if x >= 0 else expm1(x)]
    sech = 1 / cosh(x) ** 2
    derivatives = [sech, sech, slope, logistic + x * slope, 2 / sqrt(pi) * exp(-x * x)]
    return functions + derivatives + [normal + x * density, cos(x), exp(min(x, mpf(0)))]


print(",".join(["x"] + NAMES + ["d_" + name for name in NAMES]))
sizes = [1e-9, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 0.9, 0.99, 1.0]
sizes += [1.01, 1.1, 1.25, 1.4, 1.5, 1.6, 1.8, 1.99, 2.01, 2.3, 2.6, 3.0, 3.4, 4.1, 4.8, 5.5, 6.3]
sizes += [7.7, 9.1, 12.3, 17.9, 20.3, 26.1, 33.3, 37.4, 100.7, 350.3, 700.1, 711.7]
for x in [sign * size for size in sizes for sign in (-1, 1)]:
    print(",".join(repr(float(v)) for v in [x] + values(mpf(x))))
