"""Prints the polynomials of the kernels: minimax fits by Remez exchange in 60 digits, then rounded.

Needs mpmath; takes a few minutes. Each line gives the coefficients, constant term first, and the largest
relative error of the function that is made of them.
"""

import struct

from mpmath import cos, erf, erfc, exp, factorial, log, lu_solve, matrix, mp, mpf, pi, sqrt, tanh

mp.dps = 60


def remez(f, weight, a, b, n, iterations=12, grid=800):
    """The n coefficients of the polynomial p that minimises max |weight (p - f)| on [a, b]."""
    a, b = mpf(a), mpf(b)

    def chebyshev(points):
        return [(a + b) / 2 - (b - a) / 2 * cos(pi * i / points) for i in range(points + 1)]

    nodes, points = chebyshev(n), chebyshev(grid)
    for _ in range(iterations):
        system, values = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, x in enumerate(nodes):
            for k in range(n):
                system[i, k] = x**k
            system[i, n] = (-1) ** i / weight(x)
            values[i] = f(x)
        solution = lu_solve(system, values)
        coefficients = [solution[k] for k in range(n)]
        errors = [weight(x) * (horner(coefficients, x) - f(x)) for x in points]
        # One extremum for each run of equal signs.
        extrema, best = [], 0
        for i in range(1, len(points)):
            if errors[i] * errors[best] <= 0:
                extrema.append(best)
                best = i
            elif abs(errors[i]) > abs(errors[best]):
                best = i
        extrema.append(best)
        if len(extrema) < n + 1:
            break
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        nodes = [points[i] for i in extrema]
    return coefficients


def horner(coefficients, x):
    return sum(c * x**k for k, c in enumerate(coefficients))


def fit(name, f, weight, a, b, sizes):
    """Prints the fit of f on [a, b] with sizes = (coefficients in f64, in f32)."""
    for bits, n in zip((64, 32), sizes):
        rounded = [float(c) for c in remez(f, weight, a, b, n)]
        if bits == 32:
            rounded = [struct.unpack("f", struct.pack("f", c))[0] for c in rounded]
        points = [mpf(a) + (mpf(b) - mpf(a)) * i / 2000 for i in range(2001)]
        error = max(abs(weight(x) * (horner(map(mpf, rounded), x) - f(x))) for x in points)
        print(f"{name}_{bits} {rounded} error {float(error):.1e}")


def tail(start, sign, argument=lambda z: z, terms=25):
    """The series of 1/factorial from `start` on in steps of two, signs alternating from `sign`."""
    return lambda z: sum(sign * (-1) ** k * argument(z) ** k / factorial(2 * k + start) for k in range(terms))


# ln m = s (2 + z p(z)) with s = (m - 1)/(m + 1), z = s², for m within sqrt 2 of 1.
z_max = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2
ln = lambda z: sum(2 * z**k / (2 * k + 3) for k in range(45))
fit("LN", ln, lambda z: z / (2 + z * ln(z)), z_max / 1000, z_max, (6, 3))

# sin(t quarter turns)/t and cos(t quarter turns) in z = t², |t| <= 1/2.
quarter = lambda z: z * (pi / 2) ** 2
sin_turn = lambda z: pi / 2 * tail(1, 1, quarter)(z)
cos_turn = tail(0, 1, quarter)
fit("SIN_TURN", sin_turn, lambda z: 1 / sin_turn(z), 0, mpf(1) / 4, (7, 4))
fit("COS_TURN", cos_turn, lambda z: 1 / cos_turn(z), 0, mpf(1) / 4, (7, 5))

# sin x = x + x z p(z) for |x| <= 1, cos x = 1 - z/2 + z² p(z) for |x| <= 0.79, z = x².
sin_tail, cos_tail = tail(3, -1), tail(4, 1)
fit("SIN", sin_tail, lambda z: z / (1 + z * sin_tail(z)), mpf(1) / 1000, 1, (7, 4))
z_max = mpf("0.79") ** 2
fit("COS", cos_tail, lambda z: z**2 / (1 - z / 2 + z**2 * cos_tail(z)), z_max / 1000, z_max, (6, 3))


def tanh_tail(z):
    """p in tanh x = x + x z p(z), z = x²."""
    if z < mpf("1e-6"):
        return -mpf(1) / 3 + 2 * z / 15 - 17 * z**2 / 315 + 62 * z**3 / 2835
    x = sqrt(z)
    return (tanh(x) / x - 1) / z


fit("TANH", tanh_tail, lambda z: z / (1 + z * tanh_tail(z)), mpf(1) / 1000, 1, (15, 7))

# exp r = 1 + r + r² p(r) for |r| <= ln(2)/2, with a little to spare.
exp_tail = lambda r: sum(r**k / factorial(k + 2) for k in range(40))
r_max = log(mpf(2)) / 2 * mpf("1.001")
fit("EXP", exp_tail, lambda r: (r * r + mpf(10) ** -6) / exp(r), -r_max, r_max, (10, 5))

# erf x = x + x p(z) for |x| <= 1, z = x².
erf_odd = lambda z: erf(sqrt(z)) / sqrt(z) - 1
fit("ERF", erf_odd, lambda z: 1 / (1 + erf_odd(z)), mpf(10) ** -12, 1, (12, 7))

# Phi(x) = 1/2 + x p(z) for |x| <= 1, z = x²; errors relative to the smaller of Phi(±x).
upper_tail = lambda x: erfc(x / sqrt(mpf(2))) / 2
phi_odd = lambda z: (mpf(1) / 2 - upper_tail(sqrt(z))) / sqrt(z)
fit("PHI", phi_odd, lambda z: sqrt(z) / upper_tail(sqrt(z)), mpf(1) / 1000, 1, (10, 6))

# The upper tail of N(0, 1) from 1 to 39 is exp(-a²/2) p(u)/(a + 4), u = (a - 4)/(a + 4).
turning = lambda u: 4 * (1 + u) / (1 - u)
scaled_tail = lambda a: (a + 4) * exp(a * a / 2) * upper_tail(a)
tail_fit = lambda u: scaled_tail(turning(u))
fit("TAIL", tail_fit, lambda u: 1 / tail_fit(u), -mpf(3) / 5, mpf(35) / 43, (20, 10))
