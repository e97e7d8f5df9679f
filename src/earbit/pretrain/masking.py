"""Random span masks, as in HuBERT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.errors import ConfigError, require_count


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """Parameters of span masks; the defaults mask about 57 % of all frames in spans of 10."""

    probability: float = 0.8
    """Fraction of frames that spans would cover without overlap; 0 masks nothing."""
    span_frames: int = 10
    min_spans: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"probability={self.probability}; allowed: 0 to 1")
        require_count(span_frames=self.span_frames, min_spans=self.min_spans)


def span_mask(n_frames: int, config: MaskConfig, generator: torch.Generator) -> Tensor:
    """Draws the mask of one utterance, True where a frame is masked: bool (n_frames,).

    The number of spans is rounded at random.  Starts are drawn without replacement, and spans may
    overlap.  Differs from fairseq: rows of a batch keep their own number of masked frames, instead
    of being cut to the smallest, so a mask does not depend on the rest of the batch.
    Utterances of fewer than two frames are not masked.
    """
    mask = torch.zeros(n_frames, dtype=torch.bool)
    if n_frames < 2 or not config.probability:
        return mask
    chance = float(torch.rand((), generator=generator))
    n_spans = int(config.probability * n_frames / config.span_frames + chance)
    n_spans = min(max(n_spans, config.min_spans), n_frames - 1)
    span = config.span_frames
    if n_frames - span <= n_spans:
        # Spans shrink in short utterances, so that at least one frame stays visible.
        span = n_frames - n_spans - 1
        span = max(span, 1)
    starts = torch.randperm(n_frames - span, generator=generator)[:n_spans]
    frames = starts[:, None] + torch.arange(span)
    mask[frames.flatten()] = True
    return mask


def batch_mask(
    n_rows: int, n_frames: int, config: MaskConfig, generator: torch.Generator
) -> Tensor:
    """Draws a mask for every row of a batch: bool (n_rows, n_frames)."""
    return torch.stack([span_mask(n_frames, config, generator) for _ in range(n_rows)])
