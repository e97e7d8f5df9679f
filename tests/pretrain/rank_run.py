"""A small training on noise with several ranks, each a process of its own.

A rank writes what it has seen to OUT/seen-RANK.jsonl, and what it prints to OUT/stderr-RANK.txt.
`fault=NUMBER:WHAT,...` lets the rank fail that has a micro-batch: nan, dead, error, term or
interrupt (Ctrl-C twice).  `unreadable=a,b` are ids of clips that cannot be decoded.  `sigterm=0,1`
are ranks that get SIGTERM before the first step.
"""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # DDP imports it, which takes seconds in every rank
import torch.distributed.fsdp  # noqa: F401
from safetensors.torch import save_file

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.config import override
from earbit.distributed import process_group, rank
from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import DataError, EarbitError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.seeds import DROPOUT, step_seed
from earbit.pretrain import loop
from earbit.pretrain.data import updates_of
from earbit.pretrain.loop import TrainingData, train
from earbit.pretrain.machine import Machine
from earbit.pretrain.objective import Objective, masked_units
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.progress import say, say_always
from earbit.units.labels import LabelHeader, UnitLabels

ENCODERS = {
    "transformer": TransformerConfig(
        n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=16, layer_drop=0.3
    ),
    "plain": TransformerConfig(
        n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=16, layer_drop=0.0
    ),
    "conformer": ConformerConfig(n_layers=1, d_model=16, n_heads=2, d_ffn=32),
}
CONFIG = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=1e-3, n_steps=30, warmup_steps=5),
    batch_s=2.0,
    crop_s=0.9,
    checkpoint_every_steps=5,
    machine=Machine(workers=0),
    log_every_steps=1,
)


def noise_data():
    """Clips of different lengths, so that batches have different numbers of masked frames."""
    random = np.random.default_rng(0)
    sizes = {f"c{i}": int(random.integers(7000, 18_000)) for i in range(9)}
    sizes |= {"v0": 10_000, "v1": 16_000, "v2": 12_000}
    waveforms = {
        name: (0.1 * random.standard_normal(n)).astype(np.float32) for name, n in sizes.items()
    }
    header = LabelHeader("mfcc", None, 50.0, 4, "none", "noise")
    units = {name: random.integers(0, 4, n // 320).astype(np.int32) for name, n in sizes.items()}
    labels = UnitLabels(header, units)
    tables = [
        ClipTable(Clip(name, Path(name), n) for name, n in sizes.items() if name[0] == part)
        for part in "cv"
    ]
    return TrainingData(*tables, reading_from(waveforms), "noise", labels)


def failing(faults):
    """HuBERT's objective, in which some micro-batches fail."""
    inner = masked_units(0.0).loss
    what_of = {
        step_seed(CONFIG.seed, int(n), DROPOUT): what
        for n, what in (fault.split(":") for fault in faults.split(",") if fault)
    }

    def loss(model, *args):
        found = inner(model, *args)
        # Every micro-batch of the training seeds torch with its number.
        what = what_of.get(torch.initial_seed()) if model.training else None
        if what == "nan":
            return dataclasses.replace(found, total=found.total * float("nan"))
        if what == "dead":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "error":
            raise RuntimeError("a bug")
        if what == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        if what == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.1)  # longer than the echo of torchrun
            os.kill(os.getpid(), signal.SIGINT)
        return found

    return Objective(loss, needs_units=True)


def main(out, settings):
    options = dict(setting.split("=", 1) for setting in settings)
    encoder = ENCODERS[options.pop("encoder", "transformer")]
    fault = options.pop("fault", "")
    unreadable = options.pop("unreadable", "")
    sigterm = options.pop("sigterm", "")
    config = override(CONFIG, [f"{name}={value}" for name, value in options.items()])
    model_config = ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=8), n_units=4)
    data = noise_data()
    read = data.read

    def read_or_refuse(clip, *part):
        if clip.id in unreadable.split(","):
            raise DataError(f"{clip.id}: damaged")
        return read(clip, *part)

    data = dataclasses.replace(data, read=read_or_refuse)
    with process_group():
        if str(rank()) in sigterm.split(","):
            os.kill(os.getpid(), signal.SIGTERM)
        seen = (out / f"seen-{rank()}.jsonl").open("w")

        def watched_updates(*args, **kwargs):
            for after, batches in updates_of(*args, **kwargs):
                for b in batches:
                    digest = hashlib.sha256(
                        b.waveforms.numpy().tobytes() + b.mask_BT.numpy().tobytes()
                    ).hexdigest()
                    line = [b.number, list(b.ids), list(b.starts), b.n_masked, digest]
                    seen.write(json.dumps(line) + "\n")
                yield after, batches

        loop.updates_of = watched_updates
        model = random_model(model_config, seed=1)
        figures = train(model, data, config, out, objective=failing(fault), run={"seed": 1})
        seen.close()
        if rank() == 0:
            save_file(model.state_dict(), out / "weights.safetensors")
            (out / "figures.json").write_text(json.dumps(figures))


def one_rank(out, settings, environment):
    """Body of the process of a rank."""
    os.environ.update(environment)
    errors = os.open(out / f"stderr-{os.environ['RANK']}.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    torch.set_num_threads(1)
    try:
        main(out, settings)
    except EarbitError as error:
        say_always(f"earbit: {error}")
        raise SystemExit(2) from None
    except KeyboardInterrupt as end:
        say(f"earbit: {type(end).__name__}: {end}")
        raise SystemExit(143) from None


def start_ranks(n, out, *settings):
    """Starts n ranks; returns their processes.  A server has imported PyTorch for all of them."""
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rank_run"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        context.Process(
            target=one_rank, args=(out, settings, common | {"RANK": str(i), "LOCAL_RANK": str(i)})
        )
        for i in range(n)
    ]
    for process in processes:
        process.start()
    return processes


def run_ranks(n, out, *settings):
    """Runs n ranks to their end; returns their exit codes and all that they have printed."""
    processes = start_ranks(n, out, *settings)
    for process in processes:
        process.join(240)
        assert not process.is_alive(), "a rank hangs"
    said = "".join((out / f"stderr-{i}.txt").read_text() for i in range(n))
    return [process.exitcode for process in processes], said
