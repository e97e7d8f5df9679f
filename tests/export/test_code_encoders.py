"""Conformer and Squeezeformer in 2, 4 and 8 bits, and in any pair of bits, against PyTorch."""

import itertools
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from test_code_export import PLANS
from test_encoders import AUDIO, NAMES, as_if_trained, check, shallow

from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.export.program import write_program
from earbit.export.verify import verify
from earbit.load import random_model
from earbit.nn.leaves import Conv1d
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.quantize.convert import convert
from earbit.quantize.plan import plan_named
from earbit.runtime import Session

PAIRS = [Precision(w, a) for w, a in itertools.product((1, 2, 4, 8), repeat=2)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_agrees_with_pytorch_code_by_code(name, plan, tmp_path):
    model = model_of(name, plan=plan, seed=1)
    check(model, tmp_path, AUDIO)
    assert verify(model, Session(tmp_path / "p.safetensors"), AUDIO).worst_bit_agreement >= 0.999


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", PLANS)
def test_trained_norms_biases_and_shifts_are_honoured_at_any_length(name, plan, tmp_path):
    model = as_if_trained(preset(name), lambda leaves: plan_named(plan).precisions(leaves))
    # One frame, two, an odd and an even number of them.
    check(model, tmp_path, *(AUDIO[:n] for n in (400, 720, 5_555, 16_000)))


def test_every_pair_of_bits_meets_every_other_in_relative_attention(tmp_path):
    kinds = (".scores", ".position_scores", ".context", "_proj")
    seen = set()
    for start in range(0, len(PAIRS), 2):
        turns = itertools.cycle(PAIRS[start:] + PAIRS[:start])

        def precisions(leaves, turns=turns):
            names = [leaf.name for leaf in leaves]
            chosen = [n for n in names if ".attention." in n and n.endswith(kinds)]
            table = {name: next(turns) for name in chosen}
            seen.update((name.rsplit(".", 1)[1], p) for name, p in table.items())
            return table

        check(as_if_trained(shallow("conformer-tiny"), precisions), tmp_path, AUDIO[:5_000])
    roles = {role for role, _ in seen}
    assert {"scores", "position_scores", "context", "position_proj"} < roles
    for role in ("scores", "position_scores", "context"):
        assert len({p for r, p in seen if r == role}) == len(PAIRS) // 2


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("precision", PAIRS, ids=str)
def test_a_depthwise_convolution_of_any_bits_is_lowered_between_leaves_in_float(
    name, precision, tmp_path
):
    def precisions(leaves):
        names = [leaf.name for leaf in leaves]
        return dict.fromkeys((n for n in names if fnmatch(n, "*layers*.depthwise")), precision)

    check(as_if_trained(shallow(name), precisions), tmp_path, AUDIO[:9000], AUDIO[:400])


def test_a_depthwise_convolution_gives_the_numbers_of_pytorch_to_the_last_bit(tmp_path):
    model = random_model(preset("conformer-tiny"), 3).eval()
    name = "encoder.layers.0.convolution.depthwise"
    convert(model, {name: Precision(4, 4)})
    # Fresh, the norm that is folded in is the identity but for this.
    model.encoder.layers[0].convolution.norm.eps = 0.0
    leaf = model.get_submodule(name)
    assert isinstance(leaf, Conv1d)
    program = lower_model(model)
    write_program(program, tmp_path / "p.safetensors", {})
    read = program.bits[name]
    made = next(i for i, op in enumerate(program.ops, 1) if op["inputs"] == [read])
    assert program.ops[made - 1]["op"] == "depthwise_i8"
    seen = {}
    hooks = [
        leaf.input_quantizer.register_forward_hook(lambda *a: seen.update(codes=a[2])),
        leaf.register_forward_hook(lambda *a: seen.update(y=a[2])),
    ]
    with torch.no_grad():
        model(torch.from_numpy(AUDIO)[None])
    for hook in hooks:
        hook.remove()
    codes, y = Session(tmp_path / "p.safetensors").values(AUDIO, [read, made])
    rows = seen["codes"][0].T.numpy()
    equal = (codes.astype(int) - 8 == rows).all(1)
    # What is claimed can be said of windows of frames whose codes agree.
    assert equal.mean() > 0.99
    kernel = leaf.kernel_size[0]
    padded = np.pad(equal, kernel // 2, constant_values=True)
    sure = np.array([padded[i : i + kernel].all() for i in range(len(rows))])
    assert sure.mean() > 0.5
    assert np.array_equal(y[sure], seen["y"][0].T.numpy()[sure])


def test_a_depthwise_convolution_takes_a_byte_for_8_bits_and_half_of_it_for_4():
    sizes = {}
    for bits in (2, 4, 8):
        model = random_model(preset("conformer-tiny"), 0)
        convert(model, {"encoder.layers.0.convolution.depthwise": Precision(bits, bits)})
        program = lower_model(model.eval())
        op = next(op for op in program.ops if op["op"] == "depthwise_i8")
        sizes[bits] = program.tensors[op["tensors"]["weight"]].shape
    weight = model.get_submodule("encoder.layers.0.convolution.depthwise").weight
    n_channels, _, n_taps = weight.shape
    assert sizes == {b: (n_channels, -(-n_taps * b // 8)) for b in (2, 4, 8)}
