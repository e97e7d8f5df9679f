"""Random programs of ops that run row by row, with numpy's value of everything that they make."""

import numpy as np
from packed_reference import PLAIN, float_rows, packed
from test_code_ops import dots, stored, whole_codes

from earbit import _core
from earbit.quantize.codes import code_range

WIDTH = 72
SETS = ("signed", "unsigned")
OPS = ("relu", "add", "shortcut", "norm", "gate", "product", "conv", "codes", "one_bit_codes")


class RandomProgram:
    """Ops on matrices of one width, and numpy's value of each.

    Values are whole numbers, which float32 adds without an error, but for those behind a norm or a
    gate: these are `near`, at most 100 in size, and never become bits or codes.
    """

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        n_rows = int(self.random.choice([1, 2, 47, 48, 49, 97, 200]))
        self.x = self.random.integers(-8, 9, (n_rows, WIDTH)).astype(np.float32)
        self.program = _core.Program()
        self.values = {float_rows(self.program, WIDTH): self.x}
        self.near = set()
        self.code_values = {}
        for _ in range(int(self.random.integers(3, 25))):
            getattr(self, str(self.random.choice(OPS)))()

    def any_value(self, *, exact=False):
        # Late ones more often, so that chains are long; early ones too, so that they must be kept.
        known = [value for value in self.values if not (exact and value in self.near)]
        value = known[-1 - int(self.random.exponential(2)) % len(known)]
        return value, self.values[value]

    def keep(self, value, expected, of=()):
        if self.near.intersection(of):
            self.near.add(value)
        else:
            expected = expected.astype(np.float32)
            assert abs(expected).max() <= 2**20, "numbers that float32 may round"
        self.values[value] = expected

    def fit(self, *values):
        """Whether a sum of values is small enough to be kept."""
        most = 50 if self.near.intersection(values) else 2**18
        return all(abs(self.values[value]).max() < most for value in values)

    def relu(self):
        value, x = self.any_value()
        self.keep(self.program.add("relu", [value], {}, {}, {}), np.maximum(x, 0), [value])

    def add(self):
        (a, x), (b, y) = self.any_value(), self.any_value()
        if self.fit(a, b):
            self.keep(self.program.add("add", [a, b], {}, {}, {}), x + y, [a, b])

    def shortcut(self):
        """What reads its input again, behind ops that could write over it."""
        value, x = self.any_value()
        relu = self.program.add("relu", [value], {}, {}, {})
        if self.fit(value):
            total = self.program.add("add", [value, relu], {}, {}, {})
            self.keep(total, x + np.maximum(x, 0), [value])

    def norm(self):
        """layer_norm, of two values as often as of one."""
        read = [self.any_value()[0] for _ in range(self.random.integers(1, 3))]
        weight, bias = self.random.uniform(-1, 1, (2, WIDTH)).astype(np.float32)
        tensors = {"weight": weight, "bias": bias}
        # With an eps of 1, differences of near values grow no larger.
        value = self.program.add("layer_norm", read, {}, {"eps": 1.0}, tensors)
        x = sum(self.values[v].astype(np.float64) for v in read)
        deviation = x - x.mean(1, keepdims=True)
        spread = np.sqrt((deviation**2).mean(1, keepdims=True) + 1.0)
        self.near.add(value)
        self.keep(value, deviation / spread * weight + bias, [value])

    def gate(self):
        """glu of twice the width, behind a product and a relu."""
        wide, x = self.binary(1, n_out=2 * WIDTH, scale=0.125)
        if self.random.random() < 0.5:
            wide, x = self.program.add("relu", [wide], {}, {}, {}), np.maximum(x, 0)
        value = self.program.add("glu", [wide], {}, {}, {})
        left, right = np.split(x.astype(np.float64), 2, axis=1)
        self.near.add(value)
        self.keep(value, left / (1 + np.exp(-right)), [value])

    def product(self):
        self.keep(*self.binary(1))

    def conv(self):
        self.keep(*self.binary(3))

    def signs(self):
        """A value as bits, and what they stand for."""
        value, x = self.any_value(exact=True)
        threshold = self.random.integers(-3, 4, WIDTH).astype(np.float32)
        bits = self.program.add("pack", [value], {"groups": 1}, {}, {"threshold": threshold})
        return bits, np.where(x >= threshold, 1, -1)

    def window(self, kernel):
        pad = kernel // 2
        return {**PLAIN, "kernel": kernel, "pad_left": pad, "pad_right": pad}

    def affine(self, n_out=WIDTH, scale=1.0):
        return {"scale": np.full(n_out, scale, np.float32), "bias": np.zeros(n_out, np.float32)}

    def binary(self, kernel, n_out=WIDTH, scale=1.0):
        bits, signs = self.signs()
        ints = self.window(kernel)
        weight = whole_codes(self.random, 1, "signed", (n_out, kernel, WIDTH))
        tensors = self.affine(n_out, scale) | {"weight": packed(weight > 0).reshape(n_out, -1)}
        more = {"unsigned": 0, "out_groups": 1}
        value = self.program.add("conv_b1", [bits], ints | more, {}, tensors)
        return value, scale * dots(signs, weight, 1, "signed", ints)

    def codes_product(self, codes, numbers, bits, number_set):
        """A product of codes, by bytes or by bit planes: what a chain may start with."""
        ints = self.window(int(self.random.choice([1, 3])))
        by_planes = bits > 1 and self.random.random() < 0.5
        weight_bits = 1 if by_planes else int(self.random.choice([1, 2, 4]))
        weight = whole_codes(self.random, weight_bits, "signed", (WIDTH, ints["kernel"], WIDTH))
        expected = dots(numbers, weight, bits, number_set, ints)
        tensors = self.affine()
        if by_planes:
            tensors["weight"] = packed(weight > 0).reshape(WIDTH, -1)
            self.keep(self.program.add("conv_planes", [codes], ints, {}, tensors), expected)
        else:
            tensors["weight"] = stored(weight.reshape(WIDTH, -1), weight_bits)
            ints["weight_bits"] = weight_bits
            self.keep(self.program.add("conv_i8", [codes], ints, {}, tensors), expected)

    def codes(self):
        """What a value is rounded to, halves to even."""
        value, x = self.any_value(exact=True)
        bits, number_set = int(self.random.choice([2, 4, 8])), str(self.random.choice(SETS))
        low, high = code_range(bits, number_set)
        shift = self.random.integers(-3, 4, WIDTH).astype(np.float32)
        ints = {"bits": bits, "unsigned": int(number_set == "unsigned")}
        floats, tensors = {"factor": 1.0, "scale": 2.0}, {"shift": shift}
        codes = self.program.add("quantize", [value], ints, floats, tensors)
        numbers = np.clip(np.rint((x + shift) / 2), low, high).astype(int)
        self.code_values[codes] = numbers - low
        self.codes_product(codes, numbers, bits, number_set)

    def one_bit_codes(self):
        bits, signs = self.signs()
        codes = self.program.add("unpack", [bits], {"unsigned": 0}, {}, {})
        self.code_values[codes] = signs > 0
        self.codes_product(codes, signs, 1, "signed")
