"""Values of elementary functions with 75 digits, one per line: function, argument(s), value(s).

    python -m venv /tmp/venv && /tmp/venv/bin/pip install mpmath
    /tmp/venv/bin/python tests/reference/functions.py > tests/fixtures/functions.txt
"""

import mpmath as mp

# Enough for 75 digits after the cancellation in 1 + tanh and 1 + erf.
mp.mp.dps = 250


def gelu_tanh(x):
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


def gelu_erf(x):
    return x / 2 * (1 + mp.erf(x / mp.sqrt(2)))


FUNCTIONS = {
    "exp": (mp.exp, [-100.25, -20.0, -1.0, -0.0009765625, 0.0, 0.5, 3.0, 26.5]),
    "silu": (lambda x: x / (1 + mp.exp(-x)), [-60.0, -5.5, -0.125, 0.0, 2.75, 40.0]),
    "gelu_tanh": (gelu_tanh, [-12.0, -3.5, -0.75, 0.0, 0.25, 4.0, 30.0]),
    "gelu_erf": (gelu_erf, [-11.0, -6.0, -1.5, 0.0, 0.375, 5.0, 20.0]),
    "recip": (lambda x: 1 / x, [-1024.0, -0.3, 0.0078125, 7.0, 123456789.0]),
    "rsqrt": (lambda x: 1 / mp.sqrt(x), [1e-5, 0.7, 2.0, 10000.0, 5e11]),
}
# theta, dim, position, i
ANGLES = [
    (10000.0, 8, 511, 0),
    (10000.0, 8, 511, 1),
    (10000.0, 8, 37, 3),
    (500000.0, 64, 100000, 5),
    (1000000.0, 128, 7, 63),
]


def digits(x):
    return mp.nstr(x, 75, strip_zeros=False, min_fixed=-(10**6), max_fixed=10**6)


for name, (f, points) in FUNCTIONS.items():
    for x in points:
        print(name, repr(x), digits(f(mp.mpf(x))))
for theta, dim, position, i in ANGLES:
    angle = position * mp.power(mp.mpf(theta), mp.mpf(-2 * i) / dim)
    print("sin_cos", repr(theta), dim, position, i, digits(mp.sin(angle)), digits(mp.cos(angle)))
