"""What a pre-training needs, before anything is written: memory, hours, disk and data.

Time and activations are measured with one row of noise and scaled by the audio of a micro-batch.
Letters: B batch, N samples, T frames.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from earbit.audio.clips import ClipTable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import override
from earbit.frames import FRAME_RATE_HZ, n_frames_of
from earbit.model import AudioModel
from earbit.nn.devices import autocast, device_named
from earbit.pretrain.data import epoch_rows
from earbit.pretrain.masking import batch_mask
from earbit.pretrain.objective import Loss, masked_units
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.schedules import arithmetic, audio_per_update_s
from earbit.pretrain.train_config import TrainConfig
from earbit.units.label_rows import label_bytes
from earbit.units.labelled import open_training_corpus
from earbit.units.mfcc import MFCC_RATE_HZ

N_MEASURED = 2
BYTES = 4
"""Of a parameter, a gradient and each of AdamW's two moments: float32 under every precision."""
FORWARD = 1 / 3
"""Share of the forward pass in the operations of a pass forward and backward."""
LABEL_RATES_HZ = (MFCC_RATE_HZ, FRAME_RATE_HZ)
"""Units per second of each iteration: of MFCC, and of hidden features."""


def plan_run(recipe: RecipeConfig, *, n_ranks: int) -> dict[str, Any]:
    """Plans a run of `recipe` on `n_ranks` devices; opens the corpus without decoding it.

    steps, epochs and hours have a value for each iteration; the second is assumed to be as fast.
    Raises the errors of the corpus and of the device.
    """
    train = recipe.train
    corpus = open_training_corpus(recipe.corpus, resplit=recipe.resplit)
    clips, valid = corpus.train, corpus.valid
    n_batches, used_s = _epoch(clips, train)
    n_units = recipe.n_units if recipe.model.n_units is None else recipe.model.n_units
    complete = override(recipe, [f"model.n_units={n_units}"])
    with torch.random.fork_rng(devices=[]):
        model = AudioModel(complete.model)
    n_parameters = sum(p.numel() for p in model.parameters())
    row_s = min(train.crop_s, int(clips.n_samples.max()) / SAMPLE_RATE_HZ)
    measured = measure(model, train, row_s=row_s)
    step_s = train.accumulation * used_s / n_batches * measured["s_per_audio_s"]
    validation_s = FORWARD * _epoch(valid, train)[1] * measured["s_per_audio_s"] / n_ranks
    iterations = [recipe.stage(i + 1) for i in range(recipe.iterations)]
    n_steps = [one.train.optimiser.n_steps for one in iterations]
    sharded = n_ranks if train.machine.sharding == "fsdp" else 1
    state = n_parameters * BYTES
    all_s = clips.duration_s + valid.duration_s
    n_checkpoints = train.keep_checkpoints + 2  # the best one, and one that is being written
    return {
        "parameters": n_parameters,
        "device": measured["device"],
        "ranks": n_ranks,
        "audio_per_update": arithmetic(train, n_ranks),
        "audio_per_update_s": audio_per_update_s(train, n_ranks),
        "steps": n_steps,
        "epochs": [n * train.accumulation * n_ranks / n_batches for n in n_steps],
        "train_hours_of_audio": clips.duration_s / 3600,
        "valid_hours_of_audio": valid.duration_s / 3600,
        "used_share_of_audio": used_s / clips.duration_s,
        "memory_bytes": {
            # FSDP has one group: it gathers all weights, and has all gradients before their sum.
            "weights": state,
            "gradients": state,
            "optimiser": 2 * state // sharded,
            "activations": round(measured["bytes_per_audio_s"] * train.batch_s),
        },
        "seconds_per_step": step_s,
        "seconds_per_validation": validation_s,
        "hours": [
            (n * step_s + math.ceil(n / train.validate_every_steps) * validation_s) / 3600
            for n in n_steps
        ],
        "checkpoint_bytes": 3 * state,
        "disk_bytes": len(iterations) * (n_checkpoints * 3 * state + state)
        + sum(
            round(label_bytes(one.n_units) * rate_hz * all_s)
            for one, rate_hz in zip(iterations, LABEL_RATES_HZ, strict=False)
        ),
        "measured": measured,
    }


def measure(model: AudioModel, train: TrainConfig, *, row_s: float) -> dict[str, Any]:
    """Time and activations of forward and backward on one row of noise, per second of audio.

    bytes_per_audio_s: tensors that the forward pass keeps for the backward pass.
    """
    device = device_named(train.machine.device)
    model = model.to(device).train()
    n_samples = int(row_s * SAMPLE_RATE_HZ)
    generator = torch.Generator().manual_seed(0)
    wave_BN = (0.1 * torch.randn(1, n_samples, generator=generator)).to(device)
    mask_BT = batch_mask(1, n_frames_of(n_samples), train.mask, generator).to(device)
    targets_BT = torch.zeros_like(mask_BT, dtype=torch.int64)
    objective = masked_units(train.unmasked_weight)

    def loss() -> Loss:
        with autocast(device, train.precision):
            return objective.loss(model, wave_BN, mask_BT, targets_BT)

    with torch.random.fork_rng(devices=[]):
        n_bytes = _kept_for_backward(model, loss)  # warms up too
        times_s = []
        for _ in range(N_MEASURED):
            _wait(device)
            start_s = time.perf_counter()
            loss().total.backward()  # type: ignore[no-untyped-call]
            _wait(device)
            times_s.append(time.perf_counter() - start_s)
    model.zero_grad(set_to_none=True)
    return {
        "device": str(device),
        "precision": train.precision,
        "row_s": row_s,
        "s_per_audio_s": min(times_s) / row_s,
        "bytes_per_audio_s": n_bytes / row_s,
    }


def _kept_for_backward(model: AudioModel, loss: Any) -> int:
    """Bytes of the storages that a forward pass keeps, parameters excluded."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        total = loss().total
    n_bytes = sum(kept.values())
    total.backward()
    return n_bytes


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _epoch(clips: ClipTable, train: TrainConfig) -> tuple[int, float]:
    """Micro-batches of the first epoch, and the seconds of audio left by their crops."""
    batches = epoch_rows(clips, train, epoch=0)
    used_s = 0.0
    for rows in batches:
        shortest_s = int(clips.n_samples[list(rows)].min()) / SAMPLE_RATE_HZ
        used_s += len(rows) * min(shortest_s, train.crop_s)
    return len(batches), used_s


def render_plan(plan: Mapping[str, Any]) -> str:
    """Table of a plan, for people."""
    memory = plan["memory_bytes"]
    measured = plan["measured"]
    parts = ", ".join(f"{name} {_gb(value)}" for name, value in memory.items())
    rows = [
        ("parameters", f"{plan['parameters']:,}"),
        ("audio to train on", f"{plan['train_hours_of_audio']:,.1f} h"),
        ("audio to validate on", f"{plan['valid_hours_of_audio']:,.1f} h"),
        ("audio left by crops", f"{plan['used_share_of_audio']:.0%}"),
        ("steps", _sum(plan["steps"], ",")),
        ("epochs", _sum(plan["epochs"], ",.1f")),
        ("memory of each device", f"{_gb(sum(memory.values()))} or more ({parts})"),
        ("time of a step", f"{plan['seconds_per_step']:,.2f} s"),
        ("time of a validation", f"{plan['seconds_per_validation']:,.1f} s"),
        ("time", _time(plan["hours"])),
        ("a checkpoint", _gb(plan["checkpoint_bytes"])),
        ("disk", _gb(plan["disk_bytes"])),
    ]
    note = (
        f"time and activations: {N_MEASURED} passes over {measured['row_s']:.3g} s of noise on "
        f"{measured['device']} in {measured['precision']}, scaled by the audio of a micro-batch; "
        "without exchange between ranks, workspace and compilation"
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([plan["audio_per_update"], *lines, note, "nothing was written"])


def _sum(values: Sequence[float], form: str) -> str:
    """Formats one value, or the values of two iterations with their sum."""
    texts = [f"{value:{form}}" for value in values]
    return texts[0] if len(texts) == 1 else f"{' + '.join(texts)} = {sum(values):{form}}"


def _time(hours: Sequence[float]) -> str:
    if sum(hours) < 1:
        return f"{_sum([60 * h for h in hours], '.1f')} minutes"
    return f"{_sum(hours, ',.1f')} hours"


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"
