"""Plans: which leaf gets which precision."""

import json
import re
from dataclasses import replace

import pytest

from earbit.cost.verb import profile_models
from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.errors import ConfigError
from earbit.export.prepared_model import model_of
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.presets import PRESETS, preset
from earbit.quantize.plan import PLANS, Plan, plan_named
from earbit.quantize.propagation.subjects import opened
from earbit.quantize.selector import Selector

LEAVES = leaves_of(random_model(preset("conformer-tiny"), 0))
SMALL = {"n_layers": 2, "d_model": 32, "n_heads": 2, "d_ffn": 48, "conv_kernel": 5}
WITHOUT_POSITIONS = [
    ConformerConfig(**SMALL, position_kernel=None),
    SqueezeformerConfig(**SMALL, position_kernel=None, reduce_before=0, recover_before=1),
]


def rules(**precisions):
    return tuple((Selector.parse(text), Precision.parse(p)) for text, p in precisions.items())


def test_plans_give_each_leaf_its_precision():
    leaves = leaves_of(random_model(preset("hubert-tiny"), 0))
    table = plan_named("w1a1").precisions(leaves)
    assert table["front_end.convs.0"] == FLOAT
    assert all(table[f"front_end.convs.{i}"] == W1A1 for i in range(1, 7))
    assert table["encoder.position.conv"] == W1A1
    assert table["projection"] == FLOAT
    assert table["encoder.layers.2.attention.scores"] == W1A1
    assert set(plan_named("fp32").precisions(leaves).values()) == {FLOAT}
    encoder_only = plan_named("w1a1-encoder").precisions(leaves)
    assert {n for n, p in encoder_only.items() if p == W1A1} == {
        leaf.name for leaf in leaves if leaf.name.startswith("encoder.layers.")
    }


def test_a_pattern_that_matches_nothing_names_its_neighbours():
    plan = Plan("mine", rules(**{"encoder.layer.*.attention.q_proj": "w1a1"}))
    with pytest.raises(ConfigError, match=r"matches no leaf; did you mean encoder\.layers"):
        plan.precisions(LEAVES)


def test_a_misspelled_role_names_the_role():
    with pytest.raises(ConfigError, match="'atention' matches no leaf; did you mean attention"):
        Plan("mine", rules(atention="w1a1")).precisions(LEAVES)


def test_a_layer_that_the_encoder_does_not_have_is_an_error():
    plan = Plan("mine", rules(**{"attention layers=7": "w1a1"}))
    with pytest.raises(
        ConfigError, match="'attention layers=7' matches no leaf; 'attention' has layers 0 to 2"
    ):
        plan.precisions(LEAVES)


def test_a_role_that_the_encoder_does_not_have_is_none():
    transformer = leaves_of(random_model(preset("hubert-tiny"), 0))
    plan = Plan("mine", rules(convolution="w1a1", attention="w8a8"))
    assert {str(p) for p in plan.precisions(transformer).values()} == {"w32a32", "w8a8"}


@pytest.mark.parametrize("n_units", [None, 4])
@pytest.mark.parametrize("text", ["head", "head.*", "head layers=0-"])
def test_a_rule_for_heads_alone_is_refused_with_and_without_a_head(text, n_units):
    leaves = leaves_of(random_model(replace(preset("conformer-tiny"), n_units=n_units), 0))
    plan = Plan("mine", rules(**{"attention": "w1a1", text: "w1a1"}))
    if n_units is None and text == "head.*":
        message = "matches no leaf"  # as for any other name
    else:
        message = f"plan 'mine': '{re.escape(text)}' selects heads alone, .* remove the rule"
    with pytest.raises(ConfigError, match=message):
        plan.precisions(leaves)


def test_a_rule_for_all_leaves_leaves_heads_in_float():
    leaves = leaves_of(random_model(replace(preset("conformer-tiny"), n_units=4), 0))
    table = Plan("mine", rules(**{"*": "w8a8", "head": "w32a32"})).precisions(leaves)
    assert {name for name, precision in table.items() if precision.is_float} == {"head.projection"}


@pytest.mark.parametrize("command", ["model_of", "opened", "profile_models"])
def test_every_command_with_a_plan_refuses_a_rule_for_heads(command, tmp_path):
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps({"attention": "w8a8", "head": "w8a8"}))
    run = {
        "model_of": lambda: model_of("hubert-tiny", plan=str(plan), seed=0),
        "opened": lambda: opened(["hubert-tiny"], str(plan), (), (), 0),
        "profile_models": lambda: profile_models(
            ["hubert-tiny"], [str(plan)], seconds=1.0, devices=["cortex-a76"]
        ),
    }[command]
    with pytest.raises(ConfigError, match="'head' selects heads alone, and heads stay in float"):
        run()


def test_a_suggestion_names_a_selector_once():
    with pytest.raises(ConfigError) as error:
        Plan("mine", rules(projektion="w1a1")).precisions(LEAVES)
    assert str(error.value).count("projection") == 1


def test_an_unknown_plan_names_its_neighbours():
    with pytest.raises(
        ConfigError, match="unknown plan 'w1a11'; plans are fp32, .*w1a1.*file of your own"
    ):
        plan_named("w1a11")


def test_every_plan_fits_every_preset_and_leaves_the_first_convolution_in_float():
    for name in PRESETS:
        if name.endswith("-tiny"):
            leaves = leaves_of(random_model(preset(name), 0))
            for plan in PLANS.values():
                # A filterbank has no convolution.
                assert plan.precisions(leaves).get("front_end.convs.0", FLOAT).is_float


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("encoder", WITHOUT_POSITIONS, ids=lambda c: type(c).__name__)
def test_every_plan_fits_an_encoder_without_a_positional_convolution(encoder, plan):
    config = ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=8))
    with_positions = replace(config, encoder=replace(encoder, position_kernel=128))
    tables = [
        PLANS[plan].precisions(leaves_of(random_model(c, 0))) for c in (config, with_positions)
    ]
    del tables[1]["encoder.position.conv"]
    assert tables[0] == tables[1]


def test_plans_give_the_bits_of_their_names():
    names = {
        "front_end.convs.1",
        "encoder.position.conv",
        "encoder.layers.0.convolution.expand",
        "projection",
        "encoder.layers.0.attention.scores",
        "encoder.layers.0.attention.context",
    }
    tables = {
        name: [str(p) for leaf, p in plan.precisions(LEAVES).items() if leaf in names]
        for name, plan in PLANS.items()
    }
    # In the model's order: front end, projection, position, scores, context, convolution.
    assert tables["w2a2"] == ["w2a2", "w32a32", "w2a2", "w2a2", "w2a2", "w2a2"]
    # Both operands of an attention product are activations.
    assert tables["w1a2"] == ["w1a2", "w32a32", "w1a2", "w2a2", "w2a2", "w1a2"]
    assert tables["w1a1-frontend4"] == ["w1a4", "w32a32", "w1a1", "w1a1", "w1a1", "w1a1"]
    assert tables["w1a1-frontend8"] == ["w8a8", "w32a32", "w1a1", "w1a1", "w1a1", "w1a1"]
    assert tables["w1a1-encoder"] == ["w32a32", "w32a32", "w32a32", "w1a1", "w1a1", "w1a1"]


def test_a_rule_may_name_role_layers_and_leaf():
    plan = Plan(
        "mine",
        rules(
            **{
                "attention": "w2a4",
                "attention layers=1-": "w1a1",
                "feed_forward layers=0-1 *.output": "w8a8",
                "*.context": "w2a8",
            }
        ),
    )
    table = {name: str(p) for name, p in plan.precisions(LEAVES).items()}
    layer = "encoder.layers.{}.attention.{}"
    assert table[layer.format(0, "q_proj")] == "w2a4"
    # A rule by role gives both operands the activation's bits, a rule by name says both itself.
    assert table[layer.format(0, "scores")] == "w4a4"
    assert {table[layer.format(i, "scores")] for i in (1, 2)} == {"w1a1"}
    assert {table[layer.format(i, "context")] for i in range(3)} == {"w2a8"}
    outputs = [f"encoder.layers.{i}.first_feed_forward.output" for i in range(3)]
    assert [table[name] for name in outputs] == ["w8a8", "w8a8", "w32a32"]
    assert table["encoder.layers.0.first_feed_forward.intermediate"] == "w32a32"


def test_a_plan_is_described_with_all_its_rules_in_order():
    plan = Plan(
        "mine",
        rules(**{"attention layers=0": "w1a1", "attention": "w8a8", "layers=0 attention": "w2a2"}),
    )
    assert plan.described() == [
        ["attention layers=0", "w1a1"],
        ["attention", "w8a8"],
        ["attention layers=0", "w2a2"],
    ]
    file = plan.as_file()
    assert [*file.items()] == [("attention", "w8a8"), ("attention layers=0", "w2a2")]
    assert Plan("mine", rules(**file)).precisions(LEAVES) == plan.precisions(LEAVES)


@pytest.mark.parametrize(
    "text",
    ["attention", "layers=3 encoder.*", "attention layers=0-3", "head layers=4- *.x", "a.*.[1-6]"],
)
def test_a_selector_reads_what_it_writes(text):
    assert str(Selector.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "selector '' is empty; give a role or a name"),
        ("attention head", "'attention' and 'head' both give a role"),
        ("a.* b.*", "both give a name"),
        ("layers=3", "layers of front end and encoder alike; add a role or a name"),
        ("head layers=3-1", "the last layer is before the first"),
        ("head layers=x", "'layers=x' names no layers; write layers=3, layers=0-3 or layers=4-"),
        (f"head layers={'9' * 5000}", r"'layers=9+\.\.\. names no layers; write layers=3"),
    ],
)
def test_a_selector_that_cannot_be_read_says_why(text, message):
    with pytest.raises(ConfigError, match=message):
        Selector.parse(text)


@pytest.mark.parametrize("text", [f"w{'9' * 5000}a1", f"w1a{'9' * 5000}"])
def test_bits_of_thousands_of_digits_are_refused_in_a_short_line(text):
    with pytest.raises(ConfigError, match="write it as w1a8 or fp32") as refusal:
        Precision.parse(text)
    assert len(str(refusal.value)) < 200
