"""What is said of a plan: rules without effect, and models without a program."""

import json
import re

import pytest

from earbit.cost.profile import leaves_of_config
from earbit.cost.verb import profile_models
from earbit.errors import UnsupportedError
from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.load import random_model
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.plan import PLANS, Plan
from earbit.quantize.propagation.subjects import opened
from earbit.quantize.report import say_rules_without_effect, say_without_program
from earbit.quantize.selector import Selector
from earbit.quantize.student import noise_clips, student_of

LEAVES = leaves_of_config(preset("conformer-tiny"))


def rules(**precisions):
    return tuple((Selector.parse(text), Precision.parse(p)) for text, p in precisions.items())


def test_a_rule_without_effect_is_reported_for_a_plan_of_the_user_alone(capsys):
    transformer = leaves_of(random_model(preset("hubert-tiny"), 0))
    say_rules_without_effect(
        Plan("mine", rules(convolution="w1a1", attention="w8a8")), transformer, "m"
    )
    assert (
        capsys.readouterr().err == "plan 'mine': no effect of convolution, which m does not have\n"
    )
    say_rules_without_effect(Plan("mine", rules(attention="w8a8")), transformer, "m")
    say_rules_without_effect(PLANS["w1a1"], transformer, "m")
    assert capsys.readouterr().err == ""


def test_every_command_with_a_plan_reports_a_rule_without_effect(tmp_path, capsys):
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps({"attention layers=0-9": "w8a8", "convolution": "w8a8"}))
    model_of("hubert-tiny", plan=str(plan), seed=0)
    opened(["hubert-tiny"], str(plan), (), (), 0)
    profile_models(["hubert-tiny"], [str(plan)], seconds=1.0, devices=["cortex-a76"])
    lines = [
        "plan 'mine': no effect of convolution, which hubert-tiny does not have",
        "plan 'mine': 'attention layers=0-9' includes layers that hubert-tiny does not have; its "
        "last layer is 2",
    ]
    assert capsys.readouterr().err.splitlines() == lines * 3


def test_a_rule_whose_leaves_later_rules_select_is_reported(capsys):
    texts = rules(**{"attention": "w8a8", "feed_forward": "w4a4", "encoder.*": "w1a1"})
    say_rules_without_effect(Plan("mine", texts[1:]), LEAVES, "conformer-tiny")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("plan 'mine': no effect of feed_forward, because rules after it select")
    general_first = Plan("mine", (texts[2], texts[0], texts[1]))
    say_rules_without_effect(general_first, LEAVES, "conformer-tiny")
    assert capsys.readouterr().err == ""


def test_layers_up_to_the_last_are_not_reported(capsys):
    for text in ("attention layers=0-2", "attention layers=1-", "front_end layers=1-6"):
        say_rules_without_effect(Plan("mine", rules(**{text: "w1a1"})), LEAVES, "m")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("selector", "precision", "fault"),
    [
        ("front_end", "w8a8", "front_end.convs.0 reads audio.*; write 'front_end layers=1-'"),
        ("feed_forward", "w8a32", r"feed_forward.intermediate in w8a32; give .* \(12 leaves"),
        ("*.scores", "w1a1", r"layers.0.attention: some of its products are quantized;"),
    ],
)
def test_a_plan_without_a_program_is_reported_before_the_training(
    selector, precision, fault, capsys
):
    plan = Plan("mine", rules(**{selector: precision}))
    say_without_program(plan, LEAVES)
    said = capsys.readouterr().err
    assert re.search(f"plan 'mine': the model can be trained and not exported: .*{fault}", said)
    model = random_model(preset("conformer-tiny"), 0)
    with pytest.raises(UnsupportedError):
        lower_model(student_of(model, plan, noise_clips(0, 1, 4000), CalibrationConfig()).eval())


@pytest.mark.parametrize("name", PLANS)
def test_every_named_plan_has_a_program(name, capsys):
    for encoder in ("conformer-tiny", "squeezeformer-tiny", "wavlm-tiny", "hubert-fbank-tiny"):
        say_without_program(PLANS[name], leaves_of_config(preset(encoder)))
    assert capsys.readouterr().err == ""
