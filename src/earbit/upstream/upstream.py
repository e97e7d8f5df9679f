"""Upstreams: what computes the frozen features of a waveform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from earbit.frames import HOP_SAMPLES
from earbit.load import preset_or_model, random_model
from earbit.model import AudioModel
from earbit.model_digest import features_digest, weights_digest
from earbit.model_file import origin_of
from earbit.model_names import model_path
from earbit.nn.devices import TrainPrecision, autocast, device_named
from earbit.nn.leaves import MatMul
from earbit.nn.precision import FLOAT
from earbit.presets import PRESETS
from earbit.quantize.convert import quantized_leaves_of
from earbit.runtime.program_file import file_digest
from earbit.runtime.session import Session
from earbit.shipped import program_path
from earbit.units.mfcc import deltas
from earbit.units.sources import folder_digest, read_features
from earbit.upstream.names import (
    FBANK,
    FOLDER_PREFIX,
    RANDOM_PREFIX,
    is_program,
    is_pytorch,
    require_pytorch,
    require_upstream,
)

N_MELS = 80
FBANK_HOP_SAMPLES = 160
FLOOR = 1e-9

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A source of frozen features."""

    name: str
    digest: str
    """Identifies the weights, or the files, that the features come from."""
    features: Callable[[str, Callable[[], Array]], Array]
    """(id of the clip, function that returns its waveform) -> all hidden states (L, T, D)."""
    hop_samples: int = HOP_SAMPLES
    model_digest: str | None = None
    """Digest of the model that a head belongs to, where it is not `digest`."""
    device: str = "cpu"
    """Device on which heads are trained, and a model in PyTorch runs."""
    size: Mapping[str, int] = field(default_factory=dict)
    """`n_parameters` of the model and `n_bytes` of its program, where they are known."""


def upstream_named(
    where: str,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    precision: TrainPrecision = "fp32",
) -> Upstream:
    """An upstream by name: `fbank`, `features:DIR`, a program file, or a name for `model_named`.

    precision: of the products of a model in PyTorch.  Raises ConfigError for an unknown name or a
    precision of another upstream, and UnsupportedError without the device.
    """
    require_upstream(where)
    if precision != "fp32":
        require_pytorch(where, f"--precision {precision}")
    device_named(device)
    if where == FBANK:
        return replace(fbank_upstream(), device=device)
    if where.startswith(FOLDER_PREFIX):
        return replace(folder_upstream(Path(where.removeprefix(FOLDER_PREFIX))), device=device)
    if is_program(where):
        return replace(program_upstream(program_path(where), threads), device=device)
    return model_upstream(where, model_named(where, seed), device, precision)


def model_named(where: str, seed: int) -> AudioModel:
    """A model or preset by name; after `random:` its shape in float with weights from the seed."""
    model = preset_or_model(where.removeprefix(RANDOM_PREFIX), seed)
    return random_model(model.config, seed).eval() if where.startswith(RANDOM_PREFIX) else model


def is_finetuned(where: str) -> bool:
    """Whether the model of a file or folder was trained with the head of a task."""
    if not is_pytorch(where) or where in PRESETS or where.startswith(RANDOM_PREFIX):
        return False
    return bool(origin_of(model_path(where)).get("stage") == "finetune")


def model_upstream(
    name: str, model: AudioModel, device_name: str = "cpu", precision: TrainPrecision = "fp32"
) -> Upstream:
    """A model in PyTorch, in evaluation mode, moved to a device, with products in `precision`."""
    digest, device = weights_digest(model), device_named(device_name)
    model.eval().to(device)

    @torch.inference_mode()
    def features(clip: str, waveform: Callable[[], Array]) -> Array:
        wave_1N = torch.from_numpy(np.asarray(waveform(), np.float32))[None].to(device)
        with autocast(device, precision):
            states = model(wave_1N).states
        states_LTD: Array = torch.cat([state.float() for state in states]).cpu().numpy()
        return states_LTD

    return Upstream(
        name=name,
        digest=features_digest(digest, precision),
        features=features,
        model_digest=digest,
        device=device_name,
        size=model_size(model),
    )


def model_size(model: AudioModel) -> dict[str, int]:
    """Parameters without those of quantizers, and bytes of packed weights and float32 otherwise."""
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    n_bits = FLOAT.weight_bits * sum(sizes.values())
    for leaf in quantized_leaves_of(model).values():
        if not isinstance(leaf, MatMul):
            weight, bits = leaf.weight, leaf.precision.weight_bits
            n_bits -= (FLOAT.weight_bits - bits) * weight.numel()
            # Scales of binary weights are not learned, but computed from the weights.
            n_bits += FLOAT.weight_bits * weight.shape[0] * (bits == 1)
    n_parameters = sum(size for name, size in sizes.items() if "_quantizer." not in name)
    return {"n_parameters": n_parameters, "n_bytes": n_bits // 8}


def program_upstream(program: Path, threads: int) -> Upstream:
    """A program in the packed runtime."""
    session = Session(program, threads)
    return Upstream(
        name=str(program),
        digest=file_digest(program),
        features=lambda clip, waveform: session.run(waveform(), layers="all"),
        size={"n_bytes": program.stat().st_size},
    )


def fbank_upstream() -> Upstream:
    """Log mel energies: 80 bands of 25 ms every 10 ms, with two differences, standardised per clip.

    Source: the baseline FBANK of SUPERB, arXiv 2105.01051.
    """
    from lhotse import Fbank, FbankConfig

    extractor = Fbank(FbankConfig(num_filters=N_MELS))

    def features(clip: str, waveform: Callable[[], Array]) -> Array:
        static_TD = np.asarray(extractor.extract(waveform(), sampling_rate=16_000))
        delta_TD = deltas(static_TD)
        all_TD = np.concatenate([static_TD, delta_TD, deltas(delta_TD)], axis=1)
        scale_D = np.maximum(all_TD.std(axis=0), FLOOR)
        return np.asarray((all_TD - all_TD.mean(axis=0)) / scale_D, np.float32)[None]

    return Upstream(
        name="fbank", digest=f"fbank-{N_MELS}", features=features, hop_samples=FBANK_HOP_SAMPLES
    )


def folder_upstream(folder: Path) -> Upstream:
    """Features of another system: ID.npy per clip, float (T, D) or (L, T, D), a frame per 20 ms.

    Features of a missing clip raise DataError.
    """

    def features(clip: str, waveform: Callable[[], Array]) -> Array:
        return read_features(folder, clip)

    digest = folder_digest(folder)
    return Upstream(name=f"features:{folder}", digest=digest, features=features)
