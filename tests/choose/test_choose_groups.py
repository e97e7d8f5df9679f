"""Groups of leaves, the plans that they make, and the ops that belong to them."""

import json

import pytest

from earbit.choose.groups import groups_of, owners_of, plan_of
from earbit.choose.times import measure_costs
from earbit.config import override
from earbit.export.lower import lower_model
from earbit.export.program import write_program
from earbit.load import random_model
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.presets import preset
from earbit.quantize.plan import plan_named

W8A8, W4A4 = Precision(8, 8), Precision(4, 4)
TINY = (
    "hubert-tiny",
    "conformer-tiny",
    "squeezeformer-tiny",
    "sparseformer-dn-tiny",
    "wavlm-tiny",
    "hubert-fbank-tiny",
)


def model_of(name):
    return random_model(override(preset(name), ()), 0).eval()


@pytest.mark.parametrize("name", TINY)
def test_every_leaf_but_heads_and_the_first_convolution_is_in_one_group(name):
    model = model_of(name)
    inside = [leaf for group in groups_of(model) for leaf in group.leaves]
    expected = {leaf.name for leaf in leaves_of(model) if leaf.role != "head"}
    assert set(inside) == expected - {"front_end.convs.0"}
    assert len(set(inside)) == len(inside)


@pytest.mark.parametrize("name", TINY)
def test_the_plan_of_a_choice_gives_each_leaf_the_precision_of_its_group(name, tmp_path):
    model = model_of(name)
    groups = groups_of(model)
    precisions = [(W1A1, W8A8, FLOAT, W4A4)[i // 2 % 4] for i in range(len(groups))]
    plan = plan_of("mine", dict(zip(groups, precisions, strict=True)))
    (tmp_path / "mine.json").write_text(json.dumps(plan.as_file()))
    found = plan_named(str(tmp_path / "mine.json")).precisions(leaves_of(model))
    for group, precision in zip(groups, precisions, strict=True):
        assert {found[leaf] for leaf in group.leaves} == {precision}, str(group)


def test_successive_layers_with_the_same_precision_are_one_rule(small_model):
    groups = groups_of(small_model)
    plan = plan_of("mine", dict.fromkeys(groups, W1A1))
    assert plan.as_file() == {
        "front_end layers=1-6": "w1a1",
        "projection": "w1a1",
        "position": "w1a1",
        "attention layers=0-1": "w1a1",
        "feed_forward layers=0-1": "w1a1",
    }


@pytest.mark.parametrize("name", TINY)
def test_every_op_with_weights_of_a_leaf_belongs_to_the_group_of_the_leaf(name):
    model = model_of(name)
    groups = groups_of(model)
    program = lower_model(model)
    owners = owners_of(model, groups, program.modules)
    assert len(owners) == len(program.ops)
    products = [
        owner
        for op, owner in zip(program.ops, owners, strict=True)
        if op["op"] in ("conv_f32", "attention_f32", "relative_attention_f32")
    ]
    depthwise = {i for i, group in enumerate(groups) if "depthwise" in str(group)}
    assert set(products) == set(range(len(groups))) - depthwise


def test_costs_of_all_groups_and_the_rest_are_those_of_the_program(
    small_model, monkeypatch, tmp_path
):
    monkeypatch.setattr("earbit.choose.times.SECONDS", 0.5)
    monkeypatch.setattr("earbit.choose.times.N_TURNS", 1)
    groups = groups_of(small_model)
    costs = measure_costs(small_model, groups, [FLOAT, W8A8, W1A1], seed=0)
    path = tmp_path / "float.safetensors"
    write_program(lower_model(small_model), path, {})
    of_float = costs.mb[:, 0].sum() + costs.rest_mb
    assert of_float == pytest.approx(path.stat().st_size / 1e6, rel=0.05)
    assert (costs.ms > 0).all()
    # A weight of 32 bits takes four times that of 8 bits, and this 8 times that of 1 bit.
    ffn = next(i for i, group in enumerate(groups) if "feed_forward" in str(group))
    assert costs.mb[ffn, 0] > 2.5 * costs.mb[ffn, 1] > 2.5 * costs.mb[ffn, 2]


def test_a_group_without_an_op_in_a_precision_has_no_cost_there(monkeypatch):
    monkeypatch.setattr("earbit.choose.times.SECONDS", 0.5)
    monkeypatch.setattr("earbit.choose.times.N_TURNS", 1)
    model = model_of("squeezeformer-tiny")
    groups = groups_of(model)
    costs = measure_costs(model, groups, [FLOAT, W8A8], seed=0)
    (reduction,) = (i for i, g in enumerate(groups) if "encoder.reduction.depthwise" in g.leaves)
    is_missing = ~(costs.ms[:, 1] < float("inf"))
    assert list(is_missing.nonzero()[0]) == [reduction]
