"""One step of pre-training on noise, timed on a device, and the ceiling of its matrix products."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.frames import n_frames_of
from earbit.model import AudioModel
from earbit.nn.devices import autocast, on_device
from earbit.presets import preset
from earbit.pretrain.data import MicroBatch
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import batch_mask
from earbit.pretrain.objective import masked_units
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser
from earbit.pretrain.parallel import Parallel, compiled_layers
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.update import Update
from quantized_step import without_layer_drop

N_UNITS = 100


def model_config(name: str) -> Any:
    return dataclasses.replace(without_layer_drop(preset(name)), n_units=N_UNITS)


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


def step_times_s(
    model: AudioModel, options: Any, device: torch.device
) -> tuple[list[float], float, int]:
    """Seconds of every step after those that warm up, of the first, and peak bytes on the GPU."""
    config, objective = config_of(options), masked_units(0.0)
    with on_device(device, model), tempfile.TemporaryDirectory() as folder:
        parallel = Parallel(model, objective, config.precision, "ddp")
        optimiser = build_optimiser(parallel.model, config.optimiser)
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        update = Update(parallel, optimiser, scaler, config, Path(folder), device, 1)
        update.resume(0)
        times_s: list[float] = []
        first_s = 0.0
        batches = [micro_batch(options, number) for number in (1, 2)]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        model.train()
        with compiled_layers(parallel.model, options.compile):
            began_s = time.perf_counter()
            for step in range(1, options.warm_up + options.runs + 1):
                wait(device)
                start_s = time.perf_counter()
                parts = update([batches[step % 2]], step)
                wait(device)
                if step > options.warm_up:
                    times_s.append(time.perf_counter() - start_s)
                elif step == 1:
                    first_s = time.perf_counter() - began_s
                if "loss" not in parts:
                    raise FloatingPointError(f"step {step} was skipped: its loss is not finite")
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return times_s, first_s, peak


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
