"""What a model costs by hand: products of every block as integers, and profiles to hold them to.

Appendix letters: t frames, d width, e width of the feed-forward, k kernel, c channels.
"""

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

from earbit.cost.profile import Profile, leaves_of_config, profile_model
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
        "front_end": front_end_macs(n_samples, c),
        "projection": t * c * d,
        "position": t * d * (d // 16) * 128,
        "attention": n_layers * (4 * t * d * d + 2 * t * t * d),
        "convolution": 0,
        "feed_forward": n_layers * 2 * t * d * e,
        "head": 0,
        "rest": 0,
    }


def relative_attention_macs(t: int, d: int) -> int:
    """Projections of q, k, v and output, of 2t - 1 positions, and the products of both scores."""
    return t * 4 * d * d + (2 * t - 1) * d * d + 2 * t * t * d + t * (2 * t - 1) * d


def conformer_macs(t: int, d: int, e: int, k: int, n_layers: int) -> dict[str, int]:
    """Appendix B: two feed-forwards, attention, convolution; content and position products."""
    return {
        "attention": n_layers * relative_attention_macs(t, d),
        "convolution": n_layers * t * (3 * d * d + k * d),
        "feed_forward": n_layers * t * 4 * d * e,
    }


def squeezeformer_block(t: int, d: int, e: int, k: int) -> tuple[int, int, int]:
    return relative_attention_macs(t, d), t * (4 * d * d + 2 * k * d), t * 4 * d * e


def squeezeformer_macs(t: int, c: SqueezeformerConfig) -> dict[str, int]:
    d, half = c.d_model, -(-t // 2)
    n_reduced = c.recover_before - c.reduce_before
    full = squeezeformer_block(t, d, c.d_ffn, c.conv_kernel)
    reduced = squeezeformer_block(half, d, c.d_ffn, c.conv_kernel)
    attention, convolution, feed_forward = (
        (c.n_layers - n_reduced) * a + n_reduced * b for a, b in zip(full, reduced, strict=True)
    )
    return {
        # The change of rate and the one back.
        "projection": half * 5 * d + half * d * d + t * d * d,
        "attention": attention,
        "convolution": convolution,
        "feed_forward": feed_forward,
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
        leaf.name: W1A1
        for leaf in leaves_of_config(config)
        if any(fnmatchcase(leaf.name, pattern) for pattern in patterns)
    }


def macs_by_role(config: ModelConfig, n_samples: int) -> dict[str, int]:
    groups = profile(config, n_samples=n_samples).groups
    return {role: cost.macs for role, cost in groups.items()}


def macs_by_kind(config: ModelConfig, n_samples: int) -> Counter[str]:
    """Products of `linear`, `conv1d` and `matmul` leaves."""
    macs: Counter[str] = Counter()
    for op in profile(config, n_samples=n_samples).ops:
        macs[op.kind] += op.n_macs
    return macs
