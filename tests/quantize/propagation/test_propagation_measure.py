"""Errors of modules and states, against direct computation and models that were converted anew."""

import contextlib
import copy
import math

import numpy as np
import pytest
import torch

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig, WindowConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.leaves import Linear, leaf_modules, leaves_of
from earbit.nn.precision import FLOAT, W1A1
from earbit.presets import PRESETS, preset
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.plan import PLANS, Plan
from earbit.quantize.propagation.groups import LAYER_ROLES, Group, groups_of, stack_of
from earbit.quantize.propagation.hooks import replaced, unfused
from earbit.quantize.propagation.interaction import interaction_of
from earbit.quantize.propagation.measure import measure
from earbit.quantize.propagation.subjects import calibrated_twin
from earbit.quantize.selector import Selector
from earbit.quantize.student import noise_clips

SHAPE = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_ffn": 32, "layer_drop": 0.0}
ENCODERS = {
    "transformer": TransformerConfig(**SHAPE, position_kernel=8),
    "sparseformer": SparseformerConfig(**SHAPE, position_kernel=8, pattern=WindowConfig(frames=9)),
    "conformer": ConformerConfig(**SHAPE, position_kernel=8, conv_kernel=5),
}
CLIPS, OTHERS = noise_clips(0, 2, 9000), noise_clips(1, 2, 9000)


def float_model(encoder: str, seed: int = 0):
    config = ModelConfig(encoder=ENCODERS[encoder], front_end=FrontEndConfig(n_channels=16))
    model = random_model(config, seed).eval()
    # Weights as BERT's are so small that the residual stream hides whatever a layer does.
    torch.manual_seed(0)
    with torch.no_grad():
        for name, leaf in leaf_modules(model).items():
            if isinstance(leaf, Linear) and "layers" in name:
                torch.nn.init.kaiming_uniform_(leaf.weight, a=math.sqrt(5))
    return model


def measured(encoder: str, plan: Plan, clips=CLIPS):
    teacher = float_model(encoder)
    student = calibrated_twin(teacher, plan, OTHERS)
    return teacher, student, measure(teacher, student, clips)


def module(errors, name):
    return next(one for one in errors.modules if one.name == name)


def sqnr_db(x: torch.Tensor, y: torch.Tensor) -> float:
    x, y = x.detach().double().numpy(), y.detach().double().numpy()
    return 10 * math.log10(np.sum(x**2) / np.sum((y - x) ** 2))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_full_precision_is_exact_everywhere(encoder):
    _, _, errors = measured(encoder, PLANS["fp32"])
    for one in errors.modules:
        assert one.alone.sqnr_db == one.accumulated.sqnr_db == math.inf, one.name
    assert all(state.log_error == 0 for state in errors.student)
    assert errors.groups == errors.noise == {}
    assert interaction_of(errors).between.db is None


def test_alone_is_the_quantized_leaf_on_the_full_precision_models_input():
    teacher, student, errors = measured("conformer", PLANS["w1a1"])
    name = "encoder.layers.1.second_feed_forward.intermediate"
    expected, found = [], []
    leaf, quantized = teacher.get_submodule(name), student.get_submodule(name)
    handle = leaf.register_forward_hook(
        lambda _, args, output: expected.append(output) or found.append(quantized(*args))
    )
    for clip in CLIPS:
        teacher(torch.from_numpy(clip)[None])
    handle.remove()
    one = module(errors, name)
    assert one.alone.sqnr_db == pytest.approx(
        sqnr_db(torch.cat(expected, 1), torch.cat(found, 1)), rel=1e-9
    )
    assert (one.role, one.layer, one.precision) == ("feed_forward", 1, W1A1)


@pytest.mark.parametrize("name", ["encoder.layers.1.attention.scores", "front_end.convs.2"])
def test_with_one_quantized_leaf_accumulated_is_alone_and_what_is_before_is_exact(name):
    _, _, errors = measured("transformer", Plan("one", ((Selector(name=name), W1A1),)))
    one = module(errors, name)
    assert one.alone.sqnr_db < 20
    assert one.accumulated.sqnr_db == one.alone.sqnr_db
    assert module(errors, "front_end.convs.1").accumulated.sqnr_db == math.inf
    last = module(errors, "encoder.layers.1.feed_forward.output")
    assert last.alone.sqnr_db == math.inf
    assert last.accumulated.sqnr_db < math.inf


def test_states_are_those_of_a_model_in_which_only_that_role_was_converted():
    teacher, student, errors = measured("conformer", PLANS["w1a1"])
    only = copy.deepcopy(teacher)
    chosen = {n: W1A1 for n in quantized_leaves_of(student) if ".convolution." in n}
    assert len(chosen) == 6
    convert(only, chosen)
    with torch.no_grad():
        for name in chosen:
            for mine, its in zip(
                only.get_submodule(name).parameters(),
                student.get_submodule(name).parameters(),
                strict=True,
            ):
                mine.copy_(its)
    convolution = errors.groups[Group(("convolution",))]
    for found, model in ((convolution, only), (errors.student, student)):
        with unfused(teacher), unfused(model):
            pairs = [(teacher(w).states, model(w).states) for w in map(wave, CLIPS)]
        for i, state in enumerate(found):
            if model is only and i == 0:
                assert state.noise == 0
                continue
            x, y = (torch.cat([pair[j][i] for pair in pairs], 1) for j in (0, 1))
            assert state.sqnr_db == pytest.approx(sqnr_db(x, y), rel=1e-9)
            assert state.log_error == pytest.approx(log_error(x, y), rel=1e-6)


def log_error(x: torch.Tensor, y: torch.Tensor) -> float:
    """Channels less their means over all frames of all clips."""
    x, y = (v.detach().double().numpy()[0] for v in (x, y))
    r = np.corrcoef((x - x.mean(0)).ravel(), (y - y.mean(0)).ravel())[0, 1]
    return -2 * math.log(r)


def wave(clip: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(clip)[None]


def test_measuring_leaves_both_models_as_they_were():
    teacher = float_model("conformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    before = [
        (model, dict(model.named_modules()), model(wave(CLIPS[0])).states[-1])
        for model in (teacher, student)
    ]
    first = measure(teacher, student, CLIPS)
    for model, modules, state in before:
        assert all(dict(model.named_modules())[name] is one for name, one in modules.items())
        assert torch.equal(model(wave(CLIPS[0])).states[-1], state)
        assert not any(m._forward_hooks for m in model.modules())
    again = measure(teacher, student, CLIPS)
    assert [m.accumulated.noise for m in again.modules] == [
        m.accumulated.noise for m in first.modules
    ]
    layers = Group(LAYER_ROLES)
    assert again.noise[layers][-1].noise == first.noise[layers][-1].noise


def test_replaced_modules_are_the_own_ones_again_after_an_error_too():
    host = torch.nn.Sequential(torch.nn.Identity())
    other = torch.nn.Sequential(torch.nn.ReLU())
    x = torch.tensor([-1.0, 2.0])
    with replaced(host, other, ["0"]):
        assert host(x).tolist() == [0.0, 2.0]
    with pytest.raises(TypeError), replaced(host, other, ["0"]):
        host()
    assert host(x).tolist() == [-1.0, 2.0]


@torch.no_grad()
def test_scales_come_from_full_precision_activations():
    teacher = float_model("transformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    name, seen = "encoder.layers.1.feed_forward.intermediate", []
    teacher.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for clip in OTHERS:
        teacher(wave(clip))
    # BiT's rule for the signed set; over clips the mean of what every clip says.
    expected = np.mean([2 * float(x.abs().mean()) for x in seen])
    assert float(student.get_submodule(name).input_quantizer.scale) == pytest.approx(expected)


def test_of_a_sparse_product_only_real_operands_count_and_each_once():
    _, _, errors = measured("sparseformer", PLANS["w1a1"])
    n_frames, n_heads, d_head, block = 27, 2, 8, 16
    own_pairs = block**2 + (n_frames - block) ** 2
    scores = module(errors, "encoder.layers.0.attention.scores")
    assert scores.alone.n_elements == len(CLIPS) * n_heads * own_pairs
    context = module(errors, "encoder.layers.0.attention.context")
    assert context.accumulated.n_elements == len(CLIPS) * n_heads * n_frames * d_head


def test_models_get_their_own_mode_back():
    teacher = float_model("transformer").train()
    teacher.encoder.layers[0].eval()
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    student.train()
    measure(teacher, student, CLIPS[:1])
    assert teacher.training
    assert not teacher.encoder.layers[0].training
    assert teacher.encoder.layers[1].training
    assert all(one.training for one in student.modules())


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-tiny")])
def test_every_leaf_of_a_layer_has_a_role_of_layers_and_is_in_one_group_of_one_layer(name):
    with torch.device("meta"):
        model = random_model(preset(name), 0)
        convert(model, dict.fromkeys(leaf_modules(model), W1A1))
    groups = groups_of(model)
    single = [group for group in groups if group.layer is not None]
    for leaf in leaves_of(model):
        is_inside = ".layers." in leaf.name
        assert (leaf.role in LAYER_ROLES) == is_inside, leaf.name
        assert sum(group.contains(leaf.role, leaf.layer) for group in single) == is_inside
        assert stack_of(groups).contains(leaf.role, leaf.layer) == is_inside
    assert len(set(groups)) == len(groups)


def test_progress_counts_every_pass(monkeypatch):
    teacher = float_model("conformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    totals, done, runs = [], [], []

    @contextlib.contextmanager
    def counted(title, total):
        totals.append(total)
        yield lambda n=1: done.append(n)

    monkeypatch.setattr("earbit.quantize.propagation.measure.progress", counted)
    teacher.register_forward_hook(lambda *_: runs.append(1))
    student.register_forward_hook(lambda *_: runs.append(1))
    measure(teacher, student, CLIPS)
    assert sum(done) == len(runs) == totals[0]


def test_a_module_that_is_not_finite_is_named():
    teacher = float_model("transformer")
    student = calibrated_twin(teacher, PLANS["w1a1"], OTHERS)
    with torch.no_grad():
        student.encoder.layers[1].feed_forward.output.bias.fill_(math.nan)
    with pytest.raises(DataError, match=r"layers\.1\.feed_forward"):
        measure(teacher, student, CLIPS)


def test_no_clips_are_refused():
    teacher = float_model("transformer")
    with pytest.raises(ConfigError, match="at least one clip"):
        measure(teacher, copy.deepcopy(teacher), [])
    assert all(leaf.precision == FLOAT for leaf in leaf_modules(teacher).values())
