"""Ops that run together, a block of rows at a time: their order of work changes no value."""

import numpy as np
import pytest
from packed_reference import PLAIN, float_rows, packed

from earbit import _core

WIDTH = 72
SEEDS = range(60)


class RandomProgram:
    """Ops on float matrices of one width, and numpy's value of each."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        n_rows = int(self.random.choice([1, 2, 47, 48, 49, 97, 200]))
        self.x = self.random.integers(-8, 9, (n_rows, WIDTH)).astype(np.float32)
        self.program = _core.Program()
        self.values = {float_rows(self.program, WIDTH): self.x}
        for _ in range(int(self.random.integers(3, 25))):
            getattr(self, str(self.random.choice(["relu", "add", "shortcut", "product", "conv"])))()

    def any_value(self):
        # Late ones more often, so that chains are long; early ones too, so that they must be kept.
        value = list(self.values)[-1 - int(self.random.exponential(2)) % len(self.values)]
        return value, self.values[value]

    def keep(self, value, expected):
        self.values[value] = np.clip(expected, -(2**20), 2**20)
        assert np.array_equal(self.values[value], expected), "numbers that float32 may round"

    def relu(self):
        value, x = self.any_value()
        self.keep(self.program.add("relu", [value], {}, {}, {}), np.maximum(x, 0))

    def add(self):
        (a, x), (b, y) = self.any_value(), self.any_value()
        if abs(x + y).max() < 2**19:
            self.keep(self.program.add("add", [a, b], {}, {}, {}), x + y)

    def shortcut(self):
        """What reads its input again, behind ops that could write over it."""
        value, x = self.any_value()
        relu = self.program.add("relu", [value], {}, {}, {})
        if abs(x).max() < 2**18:
            self.keep(self.program.add("add", [value, relu], {}, {}, {}), x + np.maximum(x, 0))

    def product(self):
        self.binary(1)

    def conv(self):
        self.binary(3)

    def binary(self, kernel):
        value, x = self.any_value()
        threshold = self.random.integers(-3, 4, WIDTH).astype(np.float32)
        bits = self.program.add("pack", [value], {"groups": 1}, {}, {"threshold": threshold})
        w = self.random.random((WIDTH, kernel, WIDTH)) < 0.5
        weight = packed(w).reshape(WIDTH, -1)
        pad = kernel // 2
        ints = {**PLAIN, "kernel": kernel, "pad_left": pad, "pad_right": pad}
        tensors = {"weight": weight, "scale": np.ones(WIDTH, np.float32)}
        tensors["bias"] = np.zeros(WIDTH, np.float32)
        ints |= {"unsigned": 0, "out_groups": 1}
        product = self.program.add("conv_b1", [bits], ints, {}, tensors)
        signs = np.where(x >= threshold, 1, -1)
        frames = np.pad(signs, ((pad, pad), (0, 0)), constant_values=-1)
        windows = np.stack([frames[k : k + len(x)] for k in range(kernel)], axis=1)
        expected = np.einsum("tkc,okc->to", windows, np.where(w, 1, -1)).astype(np.float32)
        self.keep(product, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_of_random_programs_are_those_of_numpy_however_many_are_kept(seed):
    made = RandomProgram(seed)
    values, expected = list(made.values), list(made.values.values())
    # All kept, so that nothing is written over; then only the last, so that all else may be; then
    # some, on several threads.
    for n_threads in (1, 3):
        for value, result, right in zip(
            values, made.program.run(made.x.ravel(), values, n_threads), expected, strict=True
        ):
            assert np.array_equal(result, right), (value, n_threads)
        for _ in range(3):
            some = sorted(made.random.choice(len(values), min(2, len(values)), replace=False))
            results = made.program.run(made.x.ravel(), [values[i] for i in some], n_threads)
            for i, result in zip(some, results, strict=True):
                assert np.array_equal(result, expected[i]), (values[i], n_threads)


def test_random_programs_hold_chains_of_many_ops_and_values_that_chains_must_keep():
    lengths = []
    for seed in SEEDS:
        made = RandomProgram(seed)
        names = [name for name, _ in made.program.profile(made.x.ravel(), 1)]
        lengths += [name.count("+") + 1 for name in names]
    assert max(lengths) >= 8
    assert 50 < sum(length > 1 for length in lengths) < len(lengths)
