"""Window attention in PyTorch, forward and backward, beside full attention; checked, then timed.

    python benchmarks/window_attention.py [--window 32] [--runs 7] [--threads 1] [--json -]

12 heads of 64, as in HuBERT Base.  A length of 30,000 frames is ten minutes; full attention is
not tried there: one matrix of scores would be 43 GB.  Peak memory is that of a process which runs
window attention once at the longest length and does nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from earbit.cost.measure import peak_rss_bytes
from earbit.nn.window_attention import WindowAttention

N_HEADS, HEAD_WIDTH = 12, 64
FRAMES = (500, 1000, 3000, 10_000, 30_000)
LONGEST_FULL = 3000
CHECKED_FRAMES = 200


def operands(n_frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (1, N_HEADS, n_frames, HEAD_WIDTH)
    return [torch.randn(shape, requires_grad=True) for _ in range(3)]


def windowed(window: int) -> Callable[..., torch.Tensor]:
    attention = WindowAttention(N_HEADS * HEAD_WIDTH, N_HEADS, 0.0, window)
    return lambda q, k, v: attention.attend(q * HEAD_WIDTH**-0.5, k, v, None)


def full(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def check(window: int) -> None:
    """Outputs and gradients equal those of the masked dense product; otherwise no time is given."""
    index = torch.arange(CHECKED_FRAMES)
    near = (index[:, None] - index).abs() <= window // 2
    sides = []
    for attend in (
        windowed(window),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=near),
    ):
        inputs = operands(CHECKED_FRAMES)
        output = attend(*inputs)
        output.square().sum().backward()
        sides.append([output, *(x.grad for x in inputs)])
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def seconds(attend: Callable[..., torch.Tensor], n_frames: int) -> float:
    inputs = operands(n_frames)
    start_s = time.perf_counter()
    attend(*inputs).sum().backward()
    return time.perf_counter() - start_s


def peak_bytes(window: int, n_frames: int, threads: int) -> tuple[int, int]:
    """Of the process before the operands are made, and at its highest."""
    torch.set_num_threads(threads)
    seconds(windowed(window), 100)  # PyTorch itself, once warm
    before = peak_rss_bytes()
    seconds(windowed(window), n_frames)
    return before, peak_rss_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=32, help="frames")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    check(options.window)
    window = windowed(options.window)
    rows: list[dict[str, Any]] = []
    for n_frames in FRAMES:
        with_full = n_frames <= LONGEST_FULL
        engines = {"window": window} | ({"full": full} if with_full else {})
        times: dict[str, list[float]] = {name: [] for name in engines}
        for run in range(options.runs + 1):
            for name, attend in engines.items():
                elapsed_s = seconds(attend, n_frames)
                if run:  # the first warms up
                    times[name].append(elapsed_s)
        row: dict[str, Any] = {"frames": n_frames}
        for name, values in times.items():
            row[f"{name}_ms"] = 1e3 * statistics.median(values)
            row[f"{name}_ms_of_runs"] = [round(1e3 * value, 2) for value in values]
        row["window_us_per_frame"] = 1e3 * row["window_ms"] / n_frames
        if with_full:
            row["times_as_fast_as_full"] = row["full_ms"] / row["window_ms"]
        rows.append(row)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, peak = pool.apply(peak_bytes, (options.window, FRAMES[-1], options.threads))
    report = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": options.threads,
        "window": options.window,
        "rss_bytes_before": before,
        "peak_rss_bytes_at_longest": peak,
        "rows": rows,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"window {options.window}, {options.threads} thread(s), forward and backward, medians")
    for row in rows:
        beside = f"{row['times_as_fast_as_full']:6.1f}x" if "full_ms" in row else "      -"
        print(
            f"{row['frames']:>7} frames {row['window_ms']:>9.2f} ms "
            f"{row['window_us_per_frame']:>7.2f} us/frame {beside} as fast as full attention"
        )
    print(
        f"peak memory of the process at {FRAMES[-1]} frames: {peak / 1e6:.0f} MB, "
        f"{before / 1e6:.0f} MB of it before the operands are there"
    )


if __name__ == "__main__":
    main()
