"""Binary products at the shapes of real models: checked, then timed beside the core's ceiling.

    python benchmarks/gemm_b1.py [--runs 31] [--threads 1] [--against-floats] [--json -]

A row is one op of a `w1a1` program as a model runs it: from packed bits to bits, by thresholds, or
to floats, by a scale and a bias.  Shapes are those of all presets, each once.  The ceiling is what
the core's vector units do on registers in this same run; it needs a C++ compiler and is left out
without one.  Times of a busy machine mean little: look at the quartiles.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit import _core
from report import HERE, MIN_RUNS, arguments, compiler, machine, show

CHECKED_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A binary convolution; a linear layer has kernel 1."""

    model: str
    layer: str
    frames_in: int
    channels: int
    outputs: int
    kernel: int
    stride: int
    pad_left: int
    pad_right: int
    groups: int
    writes: str
    """`bits` where the program needs no more than a comparison of it, else `floats`."""

    @property
    def n_frames(self) -> int:
        """Windows over the padded input."""
        return (self.frames_in + self.pad_left + self.pad_right - self.kernel) // self.stride + 1

    @property
    def n_macs(self) -> int:
        """One-bit products that count; padding bits of words do not."""
        return self.n_frames * self.outputs * self.kernel * self.channels // self.groups

    @property
    def windows(self) -> dict[str, int]:
        """The attributes that binary and float convolutions share."""
        names = ("kernel", "stride", "pad_left", "pad_right", "groups")
        return {name: getattr(self, name) for name in names}


def read_shapes(path: Path) -> list[Shape]:
    texts = ("model", "layer", "writes")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Shape(**{name: value if name in texts else int(value) for name, value in row.items()})  # type: ignore[arg-type]
        for row in rows
    ]


def packed(bits: np.ndarray) -> np.ndarray:
    padded = np.zeros((*bits.shape[:-1], -(-bits.shape[-1] // 64) * 64), np.uint8)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def with_random_rows(shape: Shape, random: np.random.Generator) -> tuple[_core.Program, int, Any]:
    """A program whose value `rows` is float (frames_in, channels), and its waveform."""
    program = _core.Program()
    ints = {"kernel": 8, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
    weight = random.standard_normal((shape.channels, 8)).astype(np.float32)
    rows = program.add("conv_f32", [0], ints, {}, {"weight": weight})
    return program, rows, random.standard_normal(shape.frames_in + 7).astype(np.float32)


def seconds_of_last_op(program: _core.Program, waveform: Any, n_runs: int, threads: int) -> Any:
    program.profile(waveform, threads)
    return np.array([program.profile(waveform, threads)[-1][2] for _ in range(n_runs)])


def binary_seconds(shape: Shape, n_runs: int, threads: int) -> Any:
    """Seconds of every run; SystemExit if the first frames are not exactly numpy's."""
    random = np.random.default_rng(0)
    program, rows, waveform = with_random_rows(shape, random)
    threshold = {"threshold": np.zeros(shape.channels, np.float32)}
    bits = program.add("pack", [rows], {"groups": shape.groups}, {}, threshold)
    per_group = shape.channels // shape.groups
    weight = packed(random.random((shape.outputs, shape.kernel, per_group)) < 0.5)
    tensors: dict[str, Any] = {"weight": weight.reshape(shape.outputs, -1)}
    if shape.writes == "bits":
        tensors["threshold"] = random.integers(-9, 10, shape.outputs, np.int32)
    else:
        tensors["scale"] = np.ones(shape.outputs, np.float32)
        tensors["bias"] = np.zeros(shape.outputs, np.float32)
    ints = shape.windows | {"unsigned": 0, "out_groups": 1}
    product = program.add("conv_b1", [bits], ints, {}, tensors)
    inputs, results = program.run(waveform, [bits, product], threads)
    expected = expected_frames(inputs, weight, shape, per_group)
    if shape.writes == "bits":
        results, expected = results[0], packed(expected >= tensors["threshold"])
    if not np.array_equal(results[: len(expected)], expected):
        raise SystemExit(f"{shape.model}, {shape.layer}: wrong products; no time is printed")
    return seconds_of_last_op(program, waveform, n_runs, threads)


def expected_frames(inputs: Any, weight: Any, shape: Shape, per_group: int) -> Any:
    """The products of the first frames by numpy's count of bits."""
    padding = ((0, 0), (shape.pad_left, shape.pad_right), (0, 0))
    frames = np.pad(inputs, padding)
    n = min(CHECKED_FRAMES, shape.n_frames)
    groups = []
    for x, w in zip(frames, np.split(weight, shape.groups), strict=True):
        seen = np.stack([x[t * shape.stride : t * shape.stride + shape.kernel] for t in range(n)])
        counts = [np.bitwise_count(window ^ w).sum((1, 2), dtype=np.int64) for window in seen]
        groups.append(per_group * shape.kernel - 2 * np.stack(counts))
    return np.concatenate(groups, axis=1)


def float_seconds(shape: Shape, n_runs: int, threads: int) -> Any:
    """The same convolution in float32 by this runtime."""
    random = np.random.default_rng(0)
    program, rows, waveform = with_random_rows(shape, random)
    n_terms = shape.kernel * shape.channels // shape.groups
    weight = random.standard_normal((shape.outputs, n_terms)).astype(np.float32)
    program.add("conv_f32", [rows], shape.windows, {}, {"weight": weight})
    return seconds_of_last_op(program, waveform, n_runs, threads)


def torch_seconds(shape: Shape, n_runs: int, threads: int) -> Any:
    """The same convolution in float32 by PyTorch."""
    import time

    import torch

    torch.set_num_threads(threads)
    x = torch.randn(1, shape.channels, shape.frames_in + shape.pad_left + shape.pad_right)
    conv = torch.nn.Conv1d(
        shape.channels, shape.outputs, shape.kernel, shape.stride, groups=shape.groups
    )
    seconds = []
    with torch.inference_mode():
        for _ in range(n_runs + 1):
            start = time.perf_counter()
            conv(x)
            seconds.append(time.perf_counter() - start)
    return np.array(seconds[1:])


def ceilings_gmacs(isa: str) -> dict[str, float]:
    """One-bit products per second on registers alone, by name; empty where not measurable."""
    cxx = compiler()
    if cxx is None or isa not in ("avx2", "avx512bw", "avx512"):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "ceiling"
        source = HERE / "gemm_b1_ceiling.cc"
        subprocess.run([cxx, "-std=c++20", "-O2", source, "-o", binary], check=True)
        lines = subprocess.run([binary, isa], check=True, capture_output=True, text=True).stdout
    return {name: float(gmacs) for name, gmacs in (line.split() for line in lines.splitlines())}


def chosen_kernel() -> str:
    return next(k["name"] for k in _core.kernels() if k["chosen"] and k["op"] == "gemm_b1")


def measured(shape: Shape, n_runs: int, threads: int, against_floats: bool) -> dict[str, Any]:
    seconds = binary_seconds(shape, n_runs, threads)
    low, median, high = np.percentile(seconds, (25, 50, 75))
    row = asdict(shape) | {
        "n_macs": shape.n_macs,
        "best_ms": seconds.min() * 1e3,
        "median_ms": median * 1e3,
        "p25_ms": low * 1e3,
        "p75_ms": high * 1e3,
        "gmacs_per_s": shape.n_macs / median * 1e-9,
    }
    if against_floats:
        row["f32_ms"] = float(np.median(float_seconds(shape, n_runs, threads))) * 1e3
        row["torch_f32_ms"] = float(np.median(torch_seconds(shape, n_runs, threads))) * 1e3
    return row


def table(result: dict[str, Any]) -> list[str]:
    ceilings = result["ceiling_gmacs_per_s"]
    lines = [f"ceiling, {name}: {gmacs:.0f} GMAC/s" for name, gmacs in ceilings.items()]
    highest = max(ceilings.values(), default=0.0) * result["machine"]["threads"]
    for row in result["rows"]:
        line = f"{row['model']:22} {row['layer']:32} {row['writes']:6} {row['median_ms']:9.3f} ms"
        line += f" ({row['p25_ms']:.3f}-{row['p75_ms']:.3f}, best {row['best_ms']:.3f})"
        line += f" {row['gmacs_per_s']:7.0f} GMAC/s"
        if highest:
            line += f" {row['gmacs_per_s'] / highest:4.0%} of the highest ceiling"
        if "f32_ms" in row:
            line += f"  x{row['f32_ms'] / row['median_ms']:.1f} float32 of this runtime"
            line += f"  x{row['torch_f32_ms'] / row['median_ms']:.1f} PyTorch float32"
        lines.append(line)
    return lines


def main() -> None:
    parser = arguments(__doc__ or "", runs=MIN_RUNS + 1)
    parser.add_argument("--shapes", type=Path, default=HERE / "gemm_b1_shapes.csv")
    parser.add_argument("--against-floats", action="store_true", help="time float32 as well")
    options = parser.parse_args()
    if options.runs < MIN_RUNS:
        parser.error(f"--runs {options.runs}; a median needs at least {MIN_RUNS}")
    shapes = read_shapes(options.shapes)
    rows = [measured(s, options.runs, options.threads, options.against_floats) for s in shapes]
    ceilings = ceilings_gmacs(_core.isa())
    result = {
        "machine": machine(options.threads) | {"kernel": chosen_kernel()},
        "ceiling_gmacs_per_s": ceilings,
        "rows": rows,
    }
    show(result, table(result), options.json)


if __name__ == "__main__":
    main()
