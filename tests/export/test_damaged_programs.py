"""An export whose program differs from its model in one tensor or input is refused."""

import numpy as np
import pytest

import earbit.export.verb as verb
from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.quantize.student import noise_clips

AUDIO = noise_clips(5, n_clips=1, n_samples=12_000)[0]


def change_last(op_name, key, change):
    """Changes the tensor of the last op of a name that has one of this key."""

    def damage(program):
        ops = [op for op in program.ops if op["op"] == op_name and key in op["tensors"]]
        name = ops[-1]["tensors"][key]
        before = program.tensors[name]
        program.tensors[name] = change(before).astype(before.dtype)

    return damage


def without_residuals(program):
    for op in program.ops:
        if op["op"] == "layer_norm":
            op["inputs"] = op["inputs"][:1]


DAMAGES = {
    "weight of a norm": change_last("layer_norm", "weight", lambda x: -x),
    "bias of a norm": change_last("layer_norm", "bias", lambda x: x + 0.1),
    "residual": without_residuals,
    "scale of a product": change_last("gemm_b1", "scale", lambda x: 1.1 * x),
    "bias of a product": change_last(
        "gemm_b1", "bias", lambda x: x + np.resize((0.1, -0.1), x.shape)
    ),
    "threshold of a product": change_last("gemm_b1", "threshold", lambda x: x + 9),
}
IN_FLOAT = ["weight of a norm", "bias of a norm", "residual"]
CASES = [("w1a1", damage) for damage in DAMAGES] + [("fp32", damage) for damage in IN_FLOAT]


@pytest.mark.parametrize(("plan", "damage"), CASES)
def test_a_program_that_differs_from_its_model_is_not_written(tmp_path, monkeypatch, plan, damage):
    model = model_of("hubert-tiny", plan=plan, seed=0)

    def damaged(model):
        program = lower_model(model)
        DAMAGES[damage](program)
        return program

    monkeypatch.setattr(verb, "lower_model", damaged)
    out = tmp_path / "program.safetensors"
    with pytest.raises(RuntimeError, match="disagrees with its model"):
        verb.export_to(model, out, name="hubert-tiny", waveform=AUDIO)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    verb.export_to(model, out, name="hubert-tiny", waveform=AUDIO)
