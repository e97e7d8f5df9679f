"""Runs of `earbit quantize` on one small model."""

from earbit.encoders.transformer import TransformerConfig
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.quantize.verb import quantize

MODEL = ModelConfig(
    encoder=TransformerConfig(
        n_layers=1, d_model=32, n_heads=2, d_ffn=64, position_kernel=16, layer_drop=0.0
    ),
    front_end=FrontEndConfig(n_channels=32),
)


def run(
    teacher, corpus, out_dir, *, plans=("w1a1-encoder",), n_steps=3, seed=0, settings=(), **options
):
    steps = n_steps if isinstance(n_steps, tuple) else (n_steps,)
    return quantize(
        str(teacher),
        plans,
        str(corpus),
        out_dir,
        n_steps=steps,
        seed=seed,
        settings=settings,
        **options,
    )
