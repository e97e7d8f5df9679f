"""What is left out in training, where and how often; and that nothing is in evaluation."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from observed import observed
from torch.nn import functional as F

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig, SqueezeformerEncoder
from earbit.encoders.table import build_encoder
from earbit.encoders.transformer import TransformerConfig
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig

N_LAYERS, D_MODEL, N_FRAMES = 4, 16, 10
SHAPE = dict(n_layers=N_LAYERS, d_model=D_MODEL, n_heads=2, d_ffn=24, position_kernel=4)
POST_NORM = {
    "transformer": TransformerConfig(**SHAPE),
    "window": SparseformerConfig(**SHAPE),
}
PRE_NORM = {"pre-norm": TransformerConfig(norm="pre", **SHAPE)}
CONFORMER = {"conformer": ConformerConfig(conv_kernel=3, **SHAPE)}
SQUEEZEFORMER = {
    "squeezeformer": SqueezeformerConfig(conv_kernel=3, reduce_before=1, recover_before=3, **SHAPE)
}
for family in (CONFORMER, SQUEEZEFORMER):
    for name, config in list(family.items()):
        family[f"{name} without positions"] = replace(config, position_kernel=None)
CONFIGS = {**POST_NORM, **PRE_NORM, **CONFORMER, **SQUEEZEFORMER}
every_encoder = pytest.mark.parametrize("name", CONFIGS)


def build(name: str, dropout: float = 0.0, layer_drop: float = 0.0) -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = observed(
        build_encoder(replace(CONFIGS[name], dropout=dropout, layer_drop=layer_drop))
    )
    for parameter in encoder.parameters():
        # Away from the ones and zeros that would make two norms one, or a bias nothing.
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder.train()


def noise(n_rows: int = 2) -> torch.Tensor:
    return torch.randn(n_rows, N_FRAMES, D_MODEL, generator=torch.Generator().manual_seed(1))


class StandIn(torch.nn.Module):
    """In the place of a layer; notes that it was run."""

    was_run = False

    def forward(self, x, lengths=None):
        self.was_run = True
        return x


def layers_that_run(encoder: torch.nn.Module, n_passes: int) -> list[tuple[bool, ...]]:
    """For every pass, each from a seed of its own, which layers were run."""
    x, passes = noise(), []
    for seed in range(n_passes):
        layers = [StandIn() for _ in encoder.layers]
        encoder.layers = torch.nn.ModuleList(layers).train(encoder.training)
        torch.manual_seed(seed)
        with torch.no_grad():
            encoder(x)
        passes.append(tuple(layer.was_run for layer in layers))
    return passes


@every_encoder
def test_every_layer_is_dropped_in_training_at_the_rate_of_the_configuration(name):
    n_passes, rate = 400, 0.2
    passes = layers_that_run(build(name, layer_drop=rate), n_passes)
    # Five standard deviations of a count.
    spread = 5 * (n_passes * rate * (1 - rate)) ** 0.5
    for runs in zip(*passes, strict=True):
        assert abs(n_passes - sum(runs) - n_passes * rate) < spread


@every_encoder
def test_layers_are_dropped_one_without_the_other(name):
    passes = layers_that_run(build(name, layer_drop=0.5), 250)
    # All, none, and all choices between.
    assert len(set(passes)) == 2**N_LAYERS


@every_encoder
@pytest.mark.parametrize(("training", "rate"), [(False, 0.9), (True, 0.0)])
def test_no_layer_is_dropped_in_evaluation_or_at_a_rate_of_zero(name, training, rate):
    encoder = build(name, layer_drop=rate).train(training)
    assert layers_that_run(encoder, 10) == [(True,) * N_LAYERS] * 10


def into_layer(encoder: torch.nn.Module, states: list[torch.Tensor], i: int) -> torch.Tensor:
    """What layer i reads, as the states show it: repeated, where frames are twice as long."""
    if isinstance(encoder, SqueezeformerEncoder) and i == encoder.reduce_before:
        return encoder.reduction(states[i]).repeat_interleave(2, dim=1)
    if isinstance(encoder, SqueezeformerEncoder) and i == encoder.recover_before:
        return encoder.recovery(states[i]) + states[encoder.reduce_before]
    return states[i]


@every_encoder
def test_a_dropped_layer_repeats_the_state_before_it_in_every_row_of_the_batch(name):
    encoder = build(name, layer_drop=0.5)
    run: list[int] = []
    for i, layer in enumerate(encoder.layers):
        layer.register_forward_hook(lambda *_, i=i: run.append(i))
    n_dropped = 0
    for seed in range(12):
        torch.manual_seed(seed)
        run.clear()
        with torch.no_grad():
            states = encoder(noise(n_rows=3))
            assert len(states) == N_LAYERS + 1
            for i in range(N_LAYERS):
                before, after = into_layer(encoder, states, i), states[i + 1]
                if name == "pre-norm" and i == N_LAYERS - 1:
                    before = encoder.norm(before)
                assert after.shape == states[0].shape
                is_same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
                assert is_same == [i not in run] * 3
        n_dropped += N_LAYERS - len(run)
    # Both cases came up.
    assert 10 < n_dropped < 38


class Dropouts:
    """Records what is dropped while it is dropped: the place and the rate, in order."""

    def __init__(self, model: torch.nn.Module, monkeypatch) -> None:
        self.found: list[tuple[str, float]] = []
        self._outputs: list[tuple[str, torch.Tensor]] = []
        self._drop = F.dropout
        for name, module in list(model.named_modules())[1:]:
            module.register_forward_hook(lambda *a, name=name: self._outputs.append((name, a[-1])))
        # Modules call it through this name too.
        monkeypatch.setattr(torch.nn.functional, "dropout", self.__call__)

    def __call__(self, x, p=0.5, training=True, inplace=False):
        assert not inplace
        if training:
            self.found.append((self._place_of(x), p))
        return self._drop(x, p, training)

    def _place_of(self, x: torch.Tensor) -> str:
        # Several modules may end with one tensor; the outermost comes last.
        names = [name for name, y in self._outputs if y is x]
        if names:
            return names[-1]
        for name, y in self._outputs[-1:]:
            for activation in (F.gelu, F.silu):
                if torch.equal(x, activation(y)):
                    return f"{activation.__name__} {name}"
        if x.dim() > 3 and (x >= 0).all():
            # Rows that only fill a block have no key at all.
            sums = x.sum(-1)
            assert sums.any()
            assert torch.allclose(sums[sums > 0], torch.ones(()))
            return "probabilities"
        return "input" if x.shape == (2, N_FRAMES, D_MODEL) else "unknown"


def places_of_layer(name: str, at: str) -> list[str]:
    """As fairseq has them in HuBERT Base, and the Squeezeformer's authors in both other layers."""

    def feed_forward(part: str) -> list[str]:
        return [f"silu {at}{part}.intermediate", f"{at}{part}"]

    attention = ["probabilities", f"{at}attention"]
    if name in CONFORMER:
        first, second = feed_forward("first_feed_forward"), feed_forward("second_feed_forward")
        return [*first, *attention, f"{at}convolution", *second]
    if name in SQUEEZEFORMER:
        first = feed_forward("first_feed_forward.inner")
        second = feed_forward("second_feed_forward.inner")
        attention[-1] += ".inner"
        return [*attention, *first, f"{at}convolution.inner", *second]
    # HuBERT Base has no dropout behind the activation.
    return [*attention, f"{at}feed_forward"]


@every_encoder
def test_dropouts_stand_where_the_papers_have_them_at_the_rate_of_the_configuration(
    name, monkeypatch
):
    encoder = build(name, dropout=0.25)
    dropouts = Dropouts(encoder, monkeypatch)
    encoder(noise())
    # Behind the positions and their norm; a pre-norm encoder has its norm at the end.
    first = "norm" if encoder.norm is not None else "input"
    if name == "pre-norm":
        first = "position"
    layers = (places_of_layer(name, f"layers.{i}.") for i in range(N_LAYERS))
    assert dropouts.found == [(place, 0.25) for place in chain([first], *layers)]


def is_random(encoder: torch.nn.Module) -> bool:
    results = []
    for seed in range(2):
        torch.manual_seed(seed)
        results.append(encoder(noise()))
    return not all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@every_encoder
def test_nothing_is_dropped_in_evaluation(name, monkeypatch):
    encoder = build(name, dropout=0.25, layer_drop=0.5).eval()
    dropouts = Dropouts(encoder, monkeypatch)
    assert not is_random(encoder)
    assert not dropouts.found


@every_encoder
def test_nothing_but_those_dropouts_is_random_in_training(name, monkeypatch):
    encoder = build(name, dropout=0.25)
    assert is_random(encoder)
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x)
    assert not is_random(encoder)


def norms_of_layer(name: str, layer: torch.nn.Module) -> list[torch.nn.Module]:
    """What is left of a layer without its parts."""
    if name in CONFORMER:
        return [layer.output_norm]
    if name in SQUEEZEFORMER:
        parts = ("attention", "first_feed_forward", "convolution", "second_feed_forward")
        return [getattr(layer, part).norm for part in parts]
    return [] if name in PRE_NORM else [layer.attention_norm, layer.output_norm]


@every_encoder
def test_what_is_dropped_does_not_get_past_the_dropout(name, monkeypatch):
    encoder = build(name, dropout=0.25)
    calls: list[torch.Tensor] = []

    def drop_all_but_the_input(x, *_, **__):
        calls.append(x)
        return x if len(calls) == 1 else torch.zeros_like(x)

    monkeypatch.setattr(torch.nn.functional, "dropout", drop_all_but_the_input)
    layers = {encoder.layers[i]: norms_of_layer(name, encoder.layers[i]) for i in range(N_LAYERS)}
    # The last sums of attention and, where it has a dropout inside, of a feed-forward.
    sums = [m for n, m in encoder.named_modules() if n.endswith("out_proj")]
    sums += [m for m in encoder.modules() if getattr(m, "input_dropout", 0) > 0]
    seen: list[tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = []
    for module in [*layers, *sums]:
        module.register_forward_hook(lambda m, inputs, y: seen.append((m, inputs[0], y)))
    encoder(noise())
    n_feed_forwards = 2 if name in {**CONFORMER, **SQUEEZEFORMER} else 0
    assert len(seen) == N_LAYERS * (1 + 1 + n_feed_forwards)
    for module, x, y in seen:
        if module in layers:
            for norm in layers[module]:
                x = norm(x)
            assert torch.equal(y, x)
        else:
            assert torch.equal(y, module.bias.expand_as(y))


def small_model() -> AudioModel:
    torch.manual_seed(0)
    encoder = replace(CONFIGS["transformer"], dropout=0.25, layer_drop=0.0)
    front_end = FrontEndConfig(n_channels=8)
    config = ModelConfig(encoder=encoder, front_end=front_end, dropout_input=0.375)
    return observed(AudioModel(config))


def test_the_projected_features_are_dropped_at_a_rate_of_their_own(monkeypatch):
    model = small_model()
    dropouts = Dropouts(model, monkeypatch)
    model(torch.randn(2, 4000))
    assert dropouts.found[0] == ("projection", 0.375)
    assert {p for _, p in dropouts.found[1:]} == {0.25}
    dropouts.found.clear()
    model.eval()(torch.randn(2, 4000))
    assert not dropouts.found


def test_the_mask_embedding_is_never_dropped():
    model = small_model()
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mask = torch.zeros(2, 12, dtype=torch.bool)
    mask[:, 3:9] = True
    model(torch.randn(2, 4000), mask_BT=mask)
    assert torch.equal(seen[0][mask], model.mask_embedding.expand(12, -1))
    assert (seen[0][~mask] == 0).any()


@every_encoder
def test_rates_are_by_default_those_of_hubert_base(name):
    config = CONFIGS[name]
    assert (config.dropout, config.layer_drop) == (0.1, 0.05)
    assert ModelConfig(encoder=config).dropout_input == 0.1
