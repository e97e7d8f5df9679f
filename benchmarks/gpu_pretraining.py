"""Pre-training steps on a GPU: audio per second, TFLOP/s and share of the matrix-product ceiling.

    python benchmarks/gpu_pretraining.py [--json FILE]                 a GPU, about 5 minutes
    python benchmarks/gpu_pretraining.py --device cpu --small          every line, on a CPU

A step is that of `earbit pretrain`: copies to the device, forward, backward, clipping and AdamW, in
bfloat16 and compiled, on noise.  FLOPs are 3 x those of the forward pass, counted by `earbit
profile`.  The ceiling is the fastest of some square matrix products in the same precision.  Before
anything is timed, a run that was interrupted is checked to end as an uninterrupted one.  A model
that fails is reported with its error, and the others are still measured.  Rows are printed and
written as they are measured, the most important first, and none begins after `--deadline-s`.

`--batch-s` has several sizes: the first is that of all rows, and the others those of the first
preset in full precision, which is measured without the compiler too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.profile import profile_model
from earbit.load import random_model
from earbit.nn.devices import device_named
from earbit.presets import preset
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.objective import Objective, unit_loss
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.units.labelled import TrainingData
from gpu_step import N_UNITS, ceiling_flops, config_of, model_config, name_of, step_times_s
from report import arguments, goal, machine, quartiles

PLAN = "w1a1"
ENCODERS = ("hubert-base", "conformer-s", "sparseformer-dn-s")
GOAL_SHARE, GOAL_RATIO = 0.4, 1.5
ANCHOR_REAL_TIME = 1900.0  # minimal-hubert, Transformer, one H100


def check_resume(options: Any) -> dict[str, float]:
    """Losses of an interrupted run beside those of an uninterrupted one; raises if they differ."""
    random = np.random.default_rng(0)
    waves = {f"{i}": (0.1 * random.standard_normal(20_000)).astype(np.float32) for i in range(8)}
    table = ClipTable(Clip(name, Path(name), len(wave)) for name, wave in waves.items())
    data = TrainingData(table, table, reading_from(waves), "noise")
    # Not compiled: three models would be compiled for three steps each.
    small = argparse.Namespace(**vars(options) | {"batch_s": 4.0, "crop_s": 1.0})
    config = dataclasses.replace(
        config_of(small, n_steps=6),
        machine=Machine(device=options.device, workers=0),
    )

    class Killed(Exception):
        pass

    def objective(dies_at: int) -> Objective:
        n_calls = 0

        def loss(model: Any, wave_BN: Any, mask_BT: Any, _: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls == dies_at:
                raise Killed
            output = model(wave_BN, mask_BT=mask_BT)
            targets_BT = torch.arange(mask_BT.shape[1], device=mask_BT.device) // 8 % N_UNITS
            return unit_loss(model, output, mask_BT, targets_BT.expand_as(mask_BT), 0.0)

        return Objective(loss, needs_units=False)

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:

        def run(name: str, dies_at: int = 0) -> float:
            model = random_model(model_config("hubert-tiny"), 0)
            found = train(
                model, data, config, Path(folder, name), objective=objective(dies_at), run={}
            )
            return found["valid_loss"]

        figures["whole"] = run("whole")
        try:
            run("cut", dies_at=5)
        except Killed:
            figures["resumed"] = run("cut")
    difference = abs(figures["whole"] - figures["resumed"])
    allowed = 0.0 if options.device == "cpu" else 1e-2
    if not difference <= allowed:
        raise SystemExit(f"a resumed run ends with another loss: {figures}")
    return figures


def measured(name: str, plan: str, options: Any, device: torch.device) -> dict[str, Any]:
    """One row: a preset, in full precision or under a plan."""
    model = random_model(model_config(name), 0).to(device)
    if plan != "fp32":
        model = quantized_copy(model, plan, noise_clips(0))
    times_s, first_s, peak = step_times_s(model, options, device)
    median_s = statistics.median(times_s)
    n_samples = int(options.crop_s * SAMPLE_RATE_HZ)
    n_rows = int(options.batch_s / options.crop_s)
    cost = profile_model(preset(name), {}, n_samples=n_samples, name=name, plan="fp32").total
    audio_s = n_rows * options.crop_s
    return {
        **quartiles([1e3 * one for one in times_s]),
        "audio_s": audio_s,
        "audio_s_per_s": audio_s / median_s,
        "flops": 3 * n_rows * cost.flops / median_s,
        "peak_bytes": peak,
        "first_step_s": first_s,
    }


def attempt(row: dict[str, Any], options: Any, device: torch.device) -> dict[str, Any]:
    """A row, or the error that prevents it: one model must not cost the time on the device."""
    start_s = time.perf_counter()
    of_row = argparse.Namespace(**vars(options) | {key: row[key] for key in ("batch_s", "compile")})
    try:
        row = row | measured(row["preset"], row["plan"], of_row, device)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        row = row | {"error": reason[:300]}
    finally:
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return row | {"whole_s": time.perf_counter() - start_s}


def planned(options: Any) -> list[dict[str, Any]]:
    """What every row measures, the most important first."""
    first, *other_sizes = options.batch_s
    all_rows = [
        {"preset": name, "plan": plan, "batch_s": first, "compile": options.compile}
        for name in options.presets
        for plan in ("fp32", PLAN)
    ]
    others = [all_rows[0] | {"batch_s": size} for size in other_sizes]
    return [*all_rows, *others, *([all_rows[0] | {"compile": False}] if options.compile else [])]


def what_of(row: dict[str, Any]) -> str:
    how = "compiled" if row["compile"] else "eager"
    return f"{row['preset']:<20} {row['plan']:<5} {how:<9}{row['batch_s']:>6g} s"


def line_of(row: dict[str, Any], ceiling: float) -> str:
    if "error" in row:
        return f"{what_of(row)} FAILED after {row['whole_s']:.0f} s: {row['error']}"
    return (
        f"{what_of(row)} {row['median_ms']:>8.1f} ms  {row['audio_s_per_s']:>8,.0f} x real time  "
        f"{row['flops'] / 1e12:>7.2f} TFLOP/s, {row['flops'] / ceiling:.0%} of the ceiling, "
        f"{row['peak_bytes'] / 1e9:.1f} GB, first step {row['first_step_s']:.0f} s, "
        f"row {row['whole_s']:.0f} s"
    )


def goals_of(rows: list[dict[str, Any]], ceiling: float) -> list[str]:
    lines = []
    done = [row for row in rows if "error" not in row]
    alike = ("preset", "batch_s", "compile")
    for row in done:
        for base in done:
            is_base = base["plan"] == "fp32" and all(base[key] == row[key] for key in alike)
            if row["plan"] != "fp32" and is_base:
                ratio = row["median_ms"] / base["median_ms"]
                lines.append(goal(f"{what_of(row)} over fp32 <= 1.5", ratio, ratio <= GOAL_RATIO))
    floats = [row for row in done if row["plan"] == "fp32" and row["preset"] == ENCODERS[0]]
    if floats:
        best = max(floats, key=lambda row: float(row["flops"]))
        share, speed, what = best["flops"] / ceiling, best["audio_s_per_s"], what_of(best)
        lines.append(goal(f"{what} share of the ceiling >= 0.4", share, share >= GOAL_SHARE))
        lines.append(goal(f"{what} over 1,900 x real time", speed, speed > ANCHOR_REAL_TIME))
    return lines


def main() -> None:
    start_s = time.perf_counter()
    parser = arguments(__doc__, runs=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--presets", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    parser.add_argument("--batch-s", type=float, nargs="+", default=[350.0, 87.5])
    parser.add_argument("--crop-s", type=float, default=15.625)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--deadline-s", type=float, default=420.0, help="no row begins after it")
    parser.add_argument("--small", action="store_true", help="tiny presets, short audio, no goals")
    options = parser.parse_args()
    if options.json is not None and str(options.json) == "-":
        parser.error("--json -: rows are printed as they are measured; give a file")
    options.sizes, options.warm_up = [8192], 4
    if options.small:
        options.presets = [f"{name.rpartition('-')[0]}-tiny" for name in options.presets]
        options.sizes, options.warm_up, options.runs = [256], 1, 3
        options.batch_s, options.crop_s = [2.0, 1.0], 1.0
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    device = device_named(options.device)
    result: dict[str, Any] = {
        "machine": machine(options.threads)
        | {"torch": torch.__version__, "device": name_of(device)},
        "precision": options.precision,
        "rows": [],
    }

    def say(line: str) -> None:
        print(f"{time.perf_counter() - start_s:6.1f} s  {line}", flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(result, indent=1) + "\n")

    result["resume"] = check_resume(options)
    say(f"resumed as uninterrupted: loss {result['resume']['whole']:.4f}")
    result["ceiling_flops"] = ceiling = ceiling_flops(options, device)
    say(f"ceiling: {ceiling / 1e12:.3g} TFLOP/s in {options.precision} on {name_of(device)}")
    for row in planned(options):
        if time.perf_counter() - start_s > options.deadline_s:
            say(f"{what_of(row)} not measured: the deadline has passed")
            continue
        result["rows"].append(attempt(row, options, device))
        say(line_of(result["rows"][-1], ceiling))
    if not options.small:
        print("\n".join(goals_of(result["rows"], ceiling)), flush=True)


if __name__ == "__main__":
    main()
