"""Messages about a folder that holds another run name what the user changed, and only that."""

import dataclasses

import pytest

from earbit.config import override, to_dict
from earbit.presets import preset
from earbit.pretrain.recipe import preset_recipe
from earbit.quantize.verb import default_config
from earbit.run_folder import differences


def quantize(*settings, plans=("w1a1",), n_steps=(300,), seed=0):
    return {"config": to_dict(override(default_config(plans, n_steps, seed), settings))}


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (quantize(), quantize(), None),
        (
            quantize(),
            quantize(n_steps=(600,)),
            "a run with --n-steps 300, here --n-steps 600",
        ),
        (
            quantize(n_steps=(300, 600), plans=("w4a4", "w1a1")),
            quantize(n_steps=(300,), plans=("w4a4", "w1a1")),
            "a run with --n-steps 300 600, here --n-steps 300",
        ),
        (
            quantize("train.optimiser.warmup_steps=7"),
            quantize(),
            "a run with train.optimiser.warmup_steps=7, here train.optimiser.warmup_steps=30",
        ),
        (
            quantize("resplit=true"),
            quantize(),
            "a run with --resplit, here no --resplit",
        ),
    ],
)
def test_differences_of_quantization_are_the_options_that_cause_them(before, now, message):
    assert differences(before, now) == message


def pretraining(recipe):
    return {"recipe": to_dict(recipe)}


def test_of_another_number_of_units_only_the_setting_is_reported():
    recipe = preset_recipe("hubert-tiny")
    before, now = (
        pretraining(override(recipe, [f"n_units={n}", f"model.n_units={n}"])) for n in (50, 100)
    )
    assert differences(before, now) == "a run with n_units=50, here n_units=100"


def test_of_another_encoder_only_its_type_is_reported():
    recipe = preset_recipe("hubert-tiny")
    encoder = preset("conformer-tiny").encoder
    other = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, encoder=encoder))
    assert differences(pretraining(recipe), pretraining(other)) == (
        "a run with model.encoder.type=transformer, here model.encoder.type=conformer"
    )


def test_settings_are_written_as_on_the_command_line():
    recipe = preset_recipe("hubert-tiny")
    other = override(recipe, ["resplit=true", "units=my-units"])
    message = differences(pretraining(other), pretraining(recipe))
    assert message == "a run with resplit=true units=my-units, here resplit=false units=null"


def test_an_option_that_is_not_given_is_the_default():
    run = {"superb": {"lrs": [0.1], "n_steps": None}}
    message = differences(run, {"superb": {"lrs": None, "n_steps": 3}})
    assert message == (
        "a run with --lrs 0.1 the default --n-steps, here the default --lrs --n-steps 3"
    )


def test_settings_of_the_machine_make_no_other_run_and_the_precision_does():
    recipe = preset_recipe("hubert-tiny")
    moved = override(recipe, ["train.machine.device=cuda", "train.machine.workers=3"])
    assert differences(pretraining(recipe), pretraining(moved)) is None
    other = override(recipe, ["train.precision=bf16"])
    there, here = "train.precision=fp32", "train.precision=bf16"
    assert (
        differences(pretraining(recipe), pretraining(other)) == f"a run with {there}, here {here}"
    )


RULES = [["attention", "w1a1"], ["attention layers=0", "w8a8"]]


def test_rules_in_another_order_are_another_run():
    assert differences({"rules": RULES}, {"rules": RULES}) is None
    assert differences({"rules": RULES}, {"rules": RULES[::-1]}) == (
        "a run with other rules in the plan (rule 1 is 'attention: w1a1', here "
        "'attention layers=0: w8a8')"
    )
    assert differences({"rules": RULES}, {"rules": RULES[:1]}) == (
        "a run with other rules in the plan (rule 2 is 'attention layers=0: w8a8', here none)"
    )
    assert differences({"rules": None}, {"rules": RULES}) == "a run with other rules in the plan"


def test_rules_of_an_earlier_version_are_a_mapping_and_the_same_run():
    held = {"rules": {"attention": "w1a1", "attention layers=0": "w8a8"}}
    assert differences(held, {"rules": RULES}) is None
    # It had one entry for two rules of the same selector, at the place of the first.
    assert differences(held, {"rules": [["attention", "w4a4"], RULES[1], RULES[0]]}) is None
    assert "here 'attention layers=0: w8a8'" in str(differences(held, {"rules": RULES[::-1]}))
    assert differences(held, {"rules": None}) == "a run with other rules in the plan"
