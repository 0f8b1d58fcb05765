"""Prints special_functions.csv: function, parameter, argument and value, from mpmath in 50 digits.

Each value is that of the double which is printed as argument. Series of positive terms and Newton's
method are used, unlike the crate, which uses continued fractions and asymptotic series.
"""

from random import Random

from mpmath import erfc, exp, gamma, isinf, ln, loggamma, mp, mpf, npdf, pi, sqrt

mp.dps = 50
random = Random(1)


def normal_cdf(z):
    return erfc(-mpf(z) / sqrt(2)) / 2


def normal_quantile(p):
    if p > 0.5:
        return -normal_quantile(1 - mpf(p))
    z = -sqrt(-2 * ln(mpf(p)))
    while True:  # for the logarithm of the probability, which is concave
        below = normal_cdf(z)
        step = ln(below / p) * below / npdf(z)
        z -= step
        if abs(step) < mpf(10) ** -40:
            return z


def series(ratio):
    """1 + ratio(0) + ratio(0) ratio(1) + .."""
    term, total, k = mpf(1), mpf(1), 0
    while term > total * mpf(10) ** (5 - mp.dps):
        term *= ratio(k)
        total += term
        k += 1
    return total


def student_inside(t, n):
    """Twice t times the density, and the probability within t of zero."""
    slope = 2 * t * exp(loggamma((n + 1) / 2) - loggamma(n / 2) - (n + 1) / 2 * ln(1 + t * t / n)) / sqrt(n * pi)
    if t * t <= n:
        y = t * t / (n + t * t)
        return slope, slope * series(lambda k: ((n + 1) / 2 + k) / (mpf(3) / 2 + k) * y)
    x = n / (n + t * t)
    return slope, 1 - slope / n * series(lambda k: ((n + 1) / 2 + k) / (n / 2 + 1 + k) * x)


def student(n, level):
    """The t within which of zero a Student number lies with probability `level`."""
    n, level = mpf(n), mpf(level)
    z = normal_quantile((1 - level) / 2)
    t = -z if level > 0.01 else level * sqrt(pi / 2)
    if isinf(n):
        return t if level > 0.01 else -normal_quantile((1 - level) / 2)
    while True:  # on the logarithms, where the function is concave
        slope, inside = student_inside(t, n)
        if level < 0.5:
            step = ln(inside / level) * inside / slope
        else:
            step = -ln((1 - inside) / (1 - level)) * (1 - inside) / slope
        t *= exp(-step)
        if abs(step) < mpf(10) ** -25:
            return t


def gamma_below(a, x):
    a, x = mpf(a), mpf(x)
    return exp(a * ln(x) - x - loggamma(a + 1)) * series(lambda k: x / (a + 1 + k))


def rows():
    tails = [10.0**-k for k in (1, 2, 3, 5, 8, 10, 16, 20, 50, 100, 200, 300, 307, 310, 320)]
    near = [0.25, 0.4, 0.4999, 0.5 - 1e-9, 0.5 - 2**-54, 0.5 + 2**-53, 0.501, 0.6, 0.9, 0.975, 1 - 1e-9, 1 - 2**-53]
    uniform = [random.random() for _ in range(40)] + [10 ** -random.uniform(0, 300) for _ in range(40)]
    for p in tails + [5e-324] + near + uniform:
        yield "normal_quantile", 0, p, normal_quantile(p)
    for z in [-37.5, -20.0, -0.1, -1e-10, 0.0, 1e-300, 5.0] + [random.uniform(-37, 8) for _ in range(50)]:
        yield "normal_cdf", 0, z, normal_cdf(z)
    levels = [1e-12, 0.01, 0.3, 0.5, 0.68, 0.8, 0.95, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 2**-53]
    degrees = [1, 2, 3, 4, 5, 9, 30, 100, 999, 1000, 9999, 10000, 10001, 30000, 10**5, 10**6, 4415113, 9 * 10**6]
    for n in degrees + [10**7 - 1, 10**12, 2**53, 0.5, 1.5, 3.146885729162872, 77.7, mpf("inf")]:
        for level in levels:
            yield "student", n, level, student(n, level)
    mp.dps = 350  # so that the probability above keeps its digits
    for a in [0.5, 1, 1.5, 2, 5, 10.5, 32, 100, 1000, 2048, 10**4, 10**5, 10**6]:
        for z in [-30, -12, -5, -3, -1, -0.3, 0, 0.01, 0.5, 1, 2, 4, 7, 12, 30]:
            x = float(a + z * a**0.5)
            x = x if x > 0 else a * 10 ** (z / 8)
            below = gamma_below(a, x)
            for name, value in [("gamma_below", below), ("gamma_above", 1 - below)]:
                if value > mpf(10) ** -300:
                    yield name, a, x, value


print("function,parameter,argument,value")
for function, parameter, argument, value in rows():
    print(function, float(parameter), repr(float(argument)), repr(float(value)), sep=",")
