"""What a model costs by hand: products of every block as integers, and profiles to hold them to.

Appendix letters: t frames, d width, e width of the feed-forward, k kernel, c channels.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

from earbit.cost.profile import Profile, leaf_names_of, profile_model
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.model import ModelConfig
from earbit.nn.precision import W1A1, Precision

ENCODER = "encoder.layers.*"


def frames_of(n_samples: int) -> list[int]:
    """Frames after each convolution of wav2vec 2.0."""
    frames = []
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        n_samples = (n_samples - kernel) // stride + 1
        frames.append(n_samples)
    return frames


def front_end_macs(n_samples: int, n_channels: int) -> int:
    first, *others = frames_of(n_samples)
    taps = (3, 3, 3, 3, 2, 2)
    return n_channels * 10 * first + sum(
        n_channels**2 * k * t for k, t in zip(taps, others, strict=True)
    )


def samples_of(n_frames: int) -> int:
    """The shortest audio of so many frames."""
    return 400 + 320 * (n_frames - 1)


def transformer_macs(n_samples: int, c: int, n_layers: int, d: int, e: int) -> dict[str, int]:
    t = frames_of(n_samples)[-1]
    return {
        "front end": front_end_macs(n_samples, c),
        "positions": t * d * (d // 16) * 128,
        "linears": t * c * d + n_layers * t * (4 * d * d + 2 * d * e),
        "convolutions": 0,
        "attention products": n_layers * 2 * t * t * d,
        "rest": 0,
    }


def conformer_macs(t: int, d: int, e: int, k: int, n_layers: int) -> dict[str, int]:
    """Appendix B: two feed-forwards, attention, convolution; content and position products."""
    linears = t * (4 * d * e + 4 * d * d + 3 * d * d) + (2 * t - 1) * d * d
    products = 2 * t * t * d + t * (2 * t - 1) * d
    return {
        "linears": n_layers * linears,
        "convolutions": n_layers * t * k * d,
        "attention products": n_layers * products,
    }


def squeezeformer_block(t: int, d: int, e: int, k: int) -> tuple[int, int, int]:
    linears = t * (4 * d * e + 4 * d * d + 4 * d * d) + (2 * t - 1) * d * d
    return linears, t * 2 * k * d, 2 * t * t * d + t * (2 * t - 1) * d


def squeezeformer_macs(t: int, c: SqueezeformerConfig) -> dict[str, int]:
    d, half = c.d_model, -(-t // 2)
    n_reduced = c.recover_before - c.reduce_before
    full = squeezeformer_block(t, d, c.d_ffn, c.conv_kernel)
    reduced = squeezeformer_block(half, d, c.d_ffn, c.conv_kernel)
    linears, convolutions, products = (
        (c.n_layers - n_reduced) * a + n_reduced * b for a, b in zip(full, reduced, strict=True)
    )
    return {
        "linears": linears + half * d * d + t * d * d,
        "convolutions": convolutions + half * 5 * d,
        "attention products": products,
    }


@cache
def float_profile(config: ModelConfig, n_samples: int) -> Profile:
    return profile_model(config, {}, n_samples=n_samples, name="model", plan="plan")


def profile(
    config: ModelConfig,
    precisions: Mapping[str, Precision] | None = None,
    n_samples: int = 160_000,
) -> Profile:
    if not precisions:
        return float_profile(config, n_samples)
    return profile_model(config, precisions, n_samples=n_samples, name="model", plan="plan")


def plan(config: ModelConfig, *patterns: str) -> dict[str, Precision]:
    """W1A1 for the leaves that a pattern matches."""
    return {
        name: W1A1
        for name in leaf_names_of(config)
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def macs_by_part(config: ModelConfig, n_samples: int) -> dict[str, int]:
    groups = profile(config, n_samples=n_samples).groups
    return {part: cost.macs for part, cost in groups.items()}
