"""Pre-training steps on a GPU: audio per second, TFLOP/s and share of the matrix-product ceiling.

    python benchmarks/gpu_pretraining.py [--json FILE or -]            a GPU, about 10 minutes
    python benchmarks/gpu_pretraining.py --device cpu --small          every line, on a CPU

A step is that of `earbit pretrain`: copies to the device, forward, backward, clipping and AdamW, in
bfloat16 with compiled layers, on noise.  FLOPs are 3 x those of the forward pass, counted by
`earbit profile`.  The ceiling is the fastest of some square matrix products in the same precision.
Before anything is timed, a run that was interrupted is checked to end as an uninterrupted one.  A
model that fails is reported with its error, and the others are still measured.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.profile import profile_model
from earbit.frames import n_frames_of
from earbit.load import random_model
from earbit.model import AudioModel
from earbit.nn.devices import autocast, device_named, on_device
from earbit.presets import preset
from earbit.pretrain.data import MicroBatch
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import batch_mask
from earbit.pretrain.objective import Objective, masked_units, unit_loss
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser
from earbit.pretrain.parallel import Parallel, compiled_layers
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.update import Update
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.units.labelled import TrainingData
from quantized_step import without_layer_drop
from report import arguments, goal, machine, quartiles, show

N_UNITS = 100
PLAN = "w1a1"
ENCODERS = ("hubert-base", "conformer-s", "sparseformer-dn-s")
GOAL_SHARE, GOAL_RATIO = 0.4, 1.5
ANCHOR_REAL_TIME = 1900.0  # minimal-hubert, Transformer, one H100


def config_of(options: Any, n_steps: int = 1_000_000) -> TrainConfig:
    return TrainConfig(
        optimiser=OptimiserConfig(peak_lr=1e-4, n_steps=n_steps, warmup_steps=0, decay_steps=0),
        batch_s=options.batch_s,
        crop_s=options.crop_s,
        precision=options.precision,
        checkpoint_every_steps=3,
        log_every_steps=1,
        machine=Machine(device=options.device, compile=options.compile, workers=0),
    )


def micro_batch(options: Any, number: int) -> MicroBatch:
    """Noise of as many full crops as a micro-batch holds."""
    random = torch.Generator().manual_seed(number)
    n_rows, n_samples = int(options.batch_s / options.crop_s), int(options.crop_s * SAMPLE_RATE_HZ)
    n_frames = n_frames_of(n_samples)
    config = config_of(options)
    return MicroBatch(
        number=number,
        ids=tuple(f"row-{i}" for i in range(n_rows)),
        waveforms=0.1 * torch.randn(n_rows, n_samples, generator=random),
        starts=(0,) * n_rows,
        mask_BT=batch_mask(n_rows, n_frames, config.mask, random),
        targets_BT=torch.randint(N_UNITS, (n_rows, n_frames), generator=random),
    )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_times_s(model: AudioModel, options: Any, device: torch.device) -> tuple[list[float], int]:
    """Seconds of every step after those that warm up, and the peak bytes of tensors on the GPU."""
    config, objective = config_of(options), masked_units(0.0)
    with on_device(device, model), tempfile.TemporaryDirectory() as folder:
        parallel = Parallel(model, objective, config.precision, "ddp")
        optimiser = build_optimiser(parallel.model, config.optimiser)
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        update = Update(parallel, optimiser, scaler, config, Path(folder), device, 1)
        update.resume(0)
        times_s: list[float] = []
        batches = [micro_batch(options, number) for number in (1, 2)]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        model.train()
        with compiled_layers(parallel.model, options.compile):
            for step in range(1, options.warm_up + options.runs + 1):
                wait(device)
                start_s = time.perf_counter()
                parts = update([batches[step % 2]], step)
                wait(device)
                if step > options.warm_up:
                    times_s.append(time.perf_counter() - start_s)
                if "loss" not in parts:
                    raise SystemExit(f"step {step} was skipped: its loss is not finite")
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return times_s, peak


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def ceiling_flops(options: Any, device: torch.device) -> float:
    """FLOP/s of the fastest square matrix product, forward, in the precision of the training."""
    best = 0.0
    for size in options.sizes:
        a, b = (torch.randn(size, size, device=device) for _ in range(2))
        with torch.no_grad(), autocast(device, options.precision):
            if options.precision != "fp32":
                dtype = torch.bfloat16 if options.precision == "bf16" else torch.float16
                a, b = a.to(dtype), b.to(dtype)
            times_s = []
            for _ in range(5):
                wait(device)
                start_s = time.perf_counter()
                for _ in range(4):
                    a @ b
                wait(device)
                times_s.append((time.perf_counter() - start_s) / 4)
        best = max(best, 2 * size**3 / min(times_s))
    return best


def check_resume(options: Any) -> dict[str, float]:
    """Losses of an interrupted run beside those of an uninterrupted one; raises if they differ."""
    random = np.random.default_rng(0)
    waves = {f"{i}": (0.1 * random.standard_normal(20_000)).astype(np.float32) for i in range(8)}
    table = ClipTable(Clip(name, Path(name), len(wave)) for name, wave in waves.items())
    data = TrainingData(table, table, reading_from(waves), "noise")
    # Not compiled: three models would be compiled for three steps each.
    config = dataclasses.replace(
        config_of(options, n_steps=6),
        batch_s=4.0,
        crop_s=1.0,
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


def model_config(name: str) -> Any:
    return dataclasses.replace(without_layer_drop(preset(name)), n_units=N_UNITS)


def measured(name: str, plan: str, options: Any, device: torch.device) -> dict[str, Any]:
    """One row: a preset, in full precision or under a plan."""
    model = random_model(model_config(name), 0)
    if plan != "fp32":
        model = quantized_copy(model, plan, noise_clips(0))
    start_s = time.perf_counter()
    times_s, peak = step_times_s(model, options, device)
    median_s = statistics.median(times_s)
    n_samples = int(options.crop_s * SAMPLE_RATE_HZ)
    n_rows = int(options.batch_s / options.crop_s)
    cost = profile_model(preset(name), {}, n_samples=n_samples, name=name, plan="fp32").total
    audio_s = n_rows * options.crop_s
    return {
        "preset": name,
        "plan": plan,
        "audio_s": audio_s,
        **quartiles([1e3 * one for one in times_s]),
        "audio_s_per_s": audio_s / median_s,
        "flops": 3 * n_rows * cost.flops / median_s,
        "peak_bytes": peak,
        "with_warm_up_s": time.perf_counter() - start_s,
    }


def attempt(measure: Callable[[], dict[str, Any]], name: str, plan: str) -> dict[str, Any]:
    """A row, or the error that prevents it: one model must not cost the time on the device."""
    try:
        return measure()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return {"preset": name, "plan": plan, "error": reason[:300]}
    finally:
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def lines_of(rows: list[dict[str, Any]], ceiling: float, options: Any) -> list[str]:
    lines = []
    floats = {row["preset"]: row for row in rows if row["plan"] == "fp32" and "error" not in row}
    for row in rows:
        what = f"{row['preset']:<20} {row['plan']:<6}"
        if "error" in row:
            lines.append(f"{what} FAILED: {row['error']}")
            continue
        lines.append(
            f"{what} {row['median_ms']:>8.1f} ms  {row['audio_s_per_s']:>8,.0f} x real time  "
            f"{row['flops'] / 1e12:>7.2f} TFLOP/s, {row['flops'] / ceiling:.0%} of the ceiling, "
            f"{row['peak_bytes'] / 1e9:.1f} GB"
        )
        if row["plan"] != "fp32" and row["preset"] in floats:
            ratio = row["median_ms"] / floats[row["preset"]]["median_ms"]
            lines.append(goal(f"{what} step over fp32 <= 1.5", ratio, ratio <= GOAL_RATIO))
    base = next(iter(floats.values()), None)
    if base is not None:
        share, speed = base["flops"] / ceiling, base["audio_s_per_s"]
        name = base["preset"]
        lines.append(goal(f"{name} share of the ceiling >= 0.4", share, share >= GOAL_SHARE))
        lines.append(goal(f"{name} over 1,900 x real time", speed, speed > ANCHOR_REAL_TIME))
    return [line for line in lines if not (options.small and line.startswith("goal"))]


def main() -> None:
    parser = arguments(__doc__, runs=20)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--presets", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    parser.add_argument("--batch-s", type=float, default=87.5)
    parser.add_argument("--crop-s", type=float, default=15.625)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--small", action="store_true", help="tiny presets, short audio, no goals")
    options = parser.parse_args()
    options.sizes, options.warm_up = [4096, 8192], 6
    if options.small:
        options.presets = [f"{name.rpartition('-')[0]}-tiny" for name in options.presets]
        options.sizes, options.warm_up, options.runs = [256], 1, 3
        options.batch_s, options.crop_s = 2.0, 1.0
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    device = device_named(options.device)
    result: dict[str, Any] = {
        "machine": machine(options.threads)
        | {"torch": torch.__version__, "device": name_of(device)},
        "precision": options.precision,
        "compiled": options.compile,
        "resume": check_resume(options),
        "ceiling_flops": ceiling_flops(options, device),
    }
    result["rows"] = [
        attempt(lambda n=name, p=plan: measured(n, p, options, device), name, plan)
        for name in options.presets
        for plan in ("fp32", PLAN)
    ]
    lines = [
        f"resumed as uninterrupted: loss {result['resume']['whole']:.4f}",
        f"ceiling: {result['ceiling_flops'] / 1e12:.3g} TFLOP/s in {options.precision}",
        *lines_of(result["rows"], result["ceiling_flops"], options),
    ]
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
