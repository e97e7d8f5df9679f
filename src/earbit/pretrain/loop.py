"""The training loop; `data.py`, `update.py` and `steps.py` have the parts of a step.

All random numbers of micro-batch n depend only on the seed and n, so on a CPU a resumed run gives
the same bits as an uninterrupted one, and N ranks do what one rank does with N accumulations.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.distributed import exchange, n_ranks, n_ranks_here, rank
from earbit.errors import ConfigError
from earbit.model import AudioModel
from earbit.nn.devices import autocast, device_named, on_device
from earbit.nn.evaluation import evaluating
from earbit.pretrain.checkpoint import MICRO_BATCHES, Position
from earbit.pretrain.collapse import CollapseWatch
from earbit.pretrain.data import epoch_rows, micro_batch, updates_of
from earbit.pretrain.meter import MACHINE, Meter
from earbit.pretrain.objective import Objective
from earbit.pretrain.optimiser import build_optimiser
from earbit.pretrain.parallel import Parallel, compiled_layers
from earbit.pretrain.reading import kept_in_memory, n_workers_for, record_unreadable
from earbit.pretrain.steps import run_steps
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.update import Update, on
from earbit.progress import say
from earbit.units.labelled import TrainingData
from earbit.units.labels import UnitLabels


def train(
    model: AudioModel,
    data: TrainingData,
    config: TrainConfig,
    out_dir: Path,
    *,
    objective: Objective,
    run: dict[str, Any],
    title: str = "training",
) -> dict[str, float]:
    """Trains `model` in place to the last step and returns its validation metrics.

    run: description of the run as JSON values, with all settings that determine the result.
    Resumes from the newest checkpoint below `out_dir` and appends to its log.jsonl.  The checkpoint
    of the lowest validation loss is kept beside the newest ones.  Ctrl-C or SIGTERM ends it after
    the current step with a checkpoint, and the exception names the step.  All ranks must call it.
    The model is on its device meanwhile, and then where it was.
    Raises ConfigError if the checkpoint belongs to another run, if `data` lacks units that the
    objective needs or for float16 with fsdp; UnsupportedError without the device; and DataError
    with the step if too many losses or gradients in a row are not finite.
    """
    _check_units(data, objective)
    data = kept_in_memory(data, config.machine)
    machine, n_micro = config.machine, config.accumulation * n_ranks()
    if config.precision == "fp16" and machine.sharding == "fsdp":
        raise ConfigError(
            "train.precision=fp16 with train.machine.sharding=fsdp; allowed: bf16 or fp32 with "
            "fsdp, or ddp"
        )
    device = device_named(machine.device)
    with on_device(device, model, *objective.beside), _own_random_numbers(device):
        parallel = Parallel(model, objective, config.precision, machine.sharding)
        optimiser = build_optimiser(parallel.model, config.optimiser)
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        update = Update(parallel, optimiser, scaler, config, out_dir, device, n_micro)
        n_steps = config.optimiser.n_steps
        figures: dict[str, float] = {}
        """Those of the last validation."""

        def updates(position: Position) -> Generator[tuple[Position, dict[str, Any]], None, None]:
            update.resume(position.step)
            meter = Meter(n_ranks())
            known = {} if data.labels is None else {"commonest_unit": _commonest(data.labels)}
            collapse = CollapseWatch(n_steps, config.optimiser.warmup_steps, position.step)
            n_workers = n_workers_for(data, machine, n_ranks_here())
            batches_of = updates_of(
                data,
                config,
                position,
                n_micro=n_micro,
                rank=rank(),
                n_ranks=n_ranks(),
                needs_units=objective.needs_units,
                n_workers=n_workers,
            )
            for after, batches in meter.waiting(batches_of):
                record_unreadable(out_dir, data.train, batches)
                step = after.step
                parts: dict[str, Any] = {**update(batches, step), **known}
                meter.add(sum(batch.waveforms.numel() for batch in batches) / SAMPLE_RATE_HZ)
                for warning in collapse.add(step, parts):
                    say(f"{title}: {warning}")
                is_validated = step % config.validate_every_steps == 0 or step == n_steps
                if is_validated or step % config.log_every_steps == 0:
                    parts[MACHINE] = meter.read()
                if is_validated:
                    parallel.finish()
                    figures.update(validate(model, data, config, objective, out_dir))
                    parts |= figures
                    meter.read()  # validation is not a part of the speed of training
                yield after, parts

        with compiled_layers(parallel.model, machine.compile):
            run_steps(
                parallel.model,
                optimiser,
                updates,
                out_dir,
                n_steps=n_steps,
                checkpoint_every_steps=config.checkpoint_every_steps,
                log_every_steps=config.log_every_steps,
                run={**run, MICRO_BATCHES: n_micro},
                title=title,
                n_kept=config.keep_checkpoints,
                scaler=scaler,
                tensorboard=config.tensorboard,
            )
        parallel.finish()
        return figures or validate(model, data, config, objective, out_dir)


@torch.no_grad()
def validate(
    model: AudioModel,
    data: TrainingData,
    config: TrainConfig,
    objective: Objective,
    out_dir: Path | None = None,
) -> dict[str, float]:
    """Mean metrics of the objective over the validation cuts, with masks fixed by the seed.

    As in training, each batch is weighted by its masked frames.  The ranks share the cuts.
    out_dir: folder whose quarantine.jsonl lists cuts that cannot be decoded.  Empty if none can.
    Raises ConfigError if the objective needs units that `data` lacks.
    """
    _check_units(data, objective)
    device = device_named(config.machine.device)
    epoch = epoch_rows(data.valid, config, epoch=0)
    found: dict[int, tuple[int, dict[str, float]]] = {}
    with on_device(device, model, *objective.beside), evaluating(model):
        for i in range(rank(), len(epoch), n_ranks()):
            batch = micro_batch(
                data, config, epoch[i], i, needs_units=objective.needs_units, clips=data.valid
            )
            if out_dir is not None:
                record_unreadable(out_dir, data.valid, [batch])
            if batch.n_masked:
                with autocast(device, config.precision):
                    loss = objective.loss(model, *on(device, batch))
                parts = {"loss": loss.total, **loss.parts}
                found[i] = batch.n_masked, {name: float(value) for name, value in parts.items()}
    of_all = {i: value for part in exchange(found) for i, value in part.items()}
    if not of_all:
        say(f"none of {len(data.valid)} validation clips can be decoded: no figures of validation")
    n_masked = sum(n for n, _ in of_all.values())
    sums: dict[str, float] = {}
    for i in sorted(of_all):
        n, figures = of_all[i]
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + n * value
    return {f"valid_{name}": total / n_masked for name, total in sums.items()}


def _commonest(labels: UnitLabels) -> float:
    """Share of the commonest unit: the accuracy of a model that has learned nothing else."""
    return float(labels.histogram.max() / max(labels.histogram.sum(), 1))


def _check_units(data: TrainingData, objective: Objective) -> None:
    if objective.needs_units and data.labels is None:
        raise ConfigError(
            "the data has no units and the objective needs them; label the corpus with "
            "`earbit units`, or choose an objective without units"
        )


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Context that restores torch's global generators, which every micro-batch seeds."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
