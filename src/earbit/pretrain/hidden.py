"""Hidden features of a model: what units of the second iteration are clustered from.

A layer's features are its output, after the residual connection and its norm, as in Hugging Face
and s3prl.  fairseq's `before_residual` features differ.
Letters: L layers, N samples, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush

import numpy as np
import torch

from earbit.audio.clips import Clip, ClipTable, ReadClip, read_clip
from earbit.audio.training_corpus import Opened, TrainingCorpus
from earbit.distributed import first
from earbit.errors import ConfigError, DataError
from earbit.frames import FRAME_RATE_HZ, HOP_SAMPLES, MIN_SAMPLES, n_frames_of, n_samples_of
from earbit.model import AudioModel
from earbit.model_digest import features_digest, weights_digest
from earbit.nn.devices import TrainPrecision, autocast, device_named
from earbit.progress import progress, say
from earbit.units.discover import FIRST_CENTRE_S, Alignment, UnitConfig
from earbit.units.kmeans import fit_kmeans
from earbit.units.labelled import phone_alignments
from earbit.units.quality import phones_at_rate, unit_quality
from earbit.units.sources import Array, Audio, FeatureSource

CHUNK_FRAMES = 5000
"""100 s, as in HuBERT: longer clips are computed in parts, without context between them."""
LayerName = str
"""A number from 1, "default" or "auto"."""


def default_layer(n_layers: int) -> int:
    """The layer that HuBERT clusters, 6 of 12; round(n_layers / 2) for other depths."""
    return max(1, round(n_layers / 2))


def layer_named(layer: LayerName, n_layers: int) -> int:
    """A layer by number or `default`; raises ConfigError for one that does not exist."""
    if layer == "default":
        return default_layer(n_layers)
    if not layer.isdecimal() or not 1 <= int(layer) <= n_layers:
        raise ConfigError(f"layer {layer}; allowed: 1 to {n_layers}, default, auto")
    return int(layer)


def source_of_model(
    model: AudioModel,
    layer: LayerName,
    where: str,
    opened: Opened,
    config: UnitConfig,
    *,
    device: str = "auto",
    precision: TrainPrecision = "fp32",
    known: int | None = None,
) -> FeatureSource:
    """`hidden_source` of a layer by number, `default`, or `auto`.

    where, opened: the corpus, which `auto` needs with its phones.  known: what `auto` has chosen
    before.
    """
    if layer != "auto":
        number = layer_named(layer, model.config.encoder.n_layers)
    else:
        # One rank chooses, since devices may round differently.
        number = known or first(
            lambda: best_layer(
                model, opened(), phone_alignments(where), config=config, device=device
            )
        )
    return hidden_source(model, number, device=device, precision=precision)


def hidden_source(
    model: AudioModel, layer: int, *, device: str = "auto", precision: TrainPrecision = "fp32"
) -> FeatureSource:
    """Output of a layer, counted from 1, at 50 Hz; without masks and in evaluation mode.

    precision: of products.  Units of lower precisions belong to a digest that names it.
    """
    where = device_named(device)
    digest = features_digest(weights_digest(model), precision)
    model.eval().to(where)

    def compute(clip: Clip, audio: Audio) -> Array:
        with autocast(where, precision):
            states_LTD = hidden_states(model, audio(), layers=(layer,))
        return np.asarray(states_LTD[0])

    return FeatureSource(
        name="hidden",
        rate_hz=FRAME_RATE_HZ,
        compute=compute,
        layer=layer,
        model_digest=digest,
        in_workers=False,
    )


@torch.inference_mode()
def hidden_states(model: AudioModel, waveform: Array, layers: Iterable[int]) -> Array:
    """Outputs of layers (L, T, D) of a waveform float32 (N,), in chunks of 100 s.

    Chunks overlap by the receptive field of a frame, so T is that of the whole clip.  Layers above
    the last one are not computed.
    """
    chosen = tuple(layers)
    device = next(model.parameters()).device
    hop = CHUNK_FRAMES * HOP_SAMPLES
    parts = []
    with _up_to(model, max(chosen)):
        for start in range(0, max(1, len(waveform) - MIN_SAMPLES + 1), hop):
            chunk = np.ascontiguousarray(waveform[start : start + n_samples_of(CHUNK_FRAMES)])
            states = model(torch.from_numpy(chunk)[None].to(device)).states
            parts.append(torch.stack([states[i][0] for i in chosen]).float().cpu().numpy())
    return np.concatenate(parts, axis=1)


class _Skipped(torch.nn.Module):
    """A layer that returns its input."""

    def forward(self, x_BTD: torch.Tensor, *rest: object) -> torch.Tensor:
        return x_BTD


@contextmanager
def _up_to(model: AudioModel, n_layers: int) -> Iterator[None]:
    """Context in which only the first layers of the encoder are computed."""
    layers = model.encoder.layers
    kept = (layer if i < n_layers else _Skipped().eval() for i, layer in enumerate(layers))
    model.encoder.layers = torch.nn.ModuleList(kept)
    try:
        yield
    finally:
        model.encoder.layers = layers


def best_layer(
    model: AudioModel,
    corpus: TrainingCorpus,
    alignments: Iterable[tuple[str, Alignment]],
    *,
    config: UnitConfig,
    device: str = "auto",
    read: ReadClip = read_clip,
) -> int:
    """The layer whose units have the best phone purity.

    k-means of each layer is fitted on random training clips with known phones, as many as
    `memory_gb` holds, and judged on the same.  Raises DataError without known phones.
    """
    n_layers = model.config.encoder.n_layers
    layers = range(1, n_layers + 1)
    model.eval().to(device_named(device))
    width = model.config.encoder.d_model
    n_units = config.n_units
    max_frames = max(n_units, int(config.memory_gb * 1e9) // (4 * n_layers * width))
    states: list[Array] = []
    phones: list[str] = []
    with progress("layers of the model", 1):
        for clip, alignment in drawn_clips(corpus.train, alignments, max_frames, config.seed):
            try:
                waveform = read(clip)
            except DataError:
                continue
            found = hidden_states(model, waveform, layers)[:, : max_frames - len(phones)]
            states.append(found)
            phones += phones_at_rate(alignment, found.shape[1], FRAME_RATE_HZ, FIRST_CENTRE_S)
        if not states:
            raise _no_phones(corpus)
        purities = []
        for i in range(n_layers):
            frames_TD = np.ascontiguousarray(np.concatenate([s[i] for s in states]))
            units = fit_kmeans(frames_TD, n_units=n_units, seed=config.seed).assign(frames_TD)
            purities.append(unit_quality(units, n_units, phones).phone_purity or 0.0)
    best = int(np.argmax(purities)) + 1
    figures = ", ".join(
        f"{layer}: {100 * p:.1f} %" for layer, p in zip(layers, purities, strict=True)
    )
    say(f"phone purity of the layers on {len(phones):,} frames: {figures}; layer {best} is chosen")
    return best


def drawn_clips(
    clips: ClipTable, alignments: Iterable[tuple[str, Alignment]], max_frames: int, seed: int
) -> list[tuple[Clip, Alignment]]:
    """Random clips with known phones: all, or just as many as have `max_frames` frames.

    Only these are in memory.
    """
    random = np.random.default_rng(seed)
    known = set(clips.ids)
    drawn: list[tuple[float, str, Alignment, int]] = []
    total = 0
    for name, alignment in alignments:
        if name not in known:
            continue
        n_frames = n_frames_of(clips.named(name).n_samples)
        heappush(drawn, (random.random(), name, alignment, n_frames))
        total += n_frames
        while total - drawn[0][3] >= max_frames:
            total -= heappop(drawn)[3]
    return [(clips.named(name), alignment) for _, name, alignment, _ in sorted(drawn, reverse=True)]


def require_phones(corpus: TrainingCorpus, alignments: Iterable[tuple[str, Alignment]]) -> None:
    """Raises DataError if `best_layer` has no training clip with known phones."""
    known = set(corpus.train.ids)
    if not any(name in known for name, _ in alignments):
        raise _no_phones(corpus)


def _no_phones(corpus: TrainingCorpus) -> DataError:
    return DataError(
        f"corpus {corpus.name}: no training clip has phone_alignment, which layer auto chooses "
        "by; give a number, or default"
    )
