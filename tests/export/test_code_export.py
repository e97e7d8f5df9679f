"""Programs of 2, 4 and 8 bits, and of any pair of bits, against the PyTorch model."""

import itertools
import json

import numpy as np
import pytest
import torch

from earbit.errors import UnsupportedError
from earbit.export.arrays import pack_codes
from earbit.export.lower import lower_model
from earbit.export.operands import comparing, operands_of
from earbit.export.prepared_model import model_of
from earbit.export.program import write_program
from earbit.export.verb import export_model, export_to
from earbit.export.verify import verify
from earbit.load import random_model
from earbit.nn.leaves import Conv1d, Linear, MatMul, leaf_modules
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.quantize.convert import convert, quantized_leaves_of
from earbit.quantize.quantizers import WeightQuantizer
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.runtime import Session

AUDIO = noise_clips(9, n_clips=1, n_samples=16_000)[0]
PLANS = ["w1a2", "w2a2", "w4a4", "w8a8", "w1a1-frontend4", "w1a1-frontend8"]


def plan_file(folder, rules):
    path = folder / "mine.json"
    path.write_text(json.dumps(rules))
    return str(path)


def exported(model, folder):
    made = export_to(model, folder / "p.safetensors", name="t", waveform=AUDIO)
    return made["agreement"]


@pytest.mark.parametrize("name", ["hubert-tiny", "sparseformer-dn-tiny"])
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_agrees_with_pytorch_code_by_code(name, plan, tmp_path):
    model = model_of(name, plan=plan, seed=1)
    agreement = exported(model, tmp_path)
    assert agreement["worst_bit_agreement"] >= 0.999
    assert agreement["bit_agreement"] >= 0.99999
    assert agreement["output_cosine"] >= 0.999


def test_every_pair_of_bits_is_a_program_beside_every_other(tmp_path):
    pairs = [f"w{w}a{a}" for w, a in itertools.product((1, 2, 4, 8), repeat=2)]
    kinds = (Linear, Conv1d, MatMul)
    # Every kind of leaf goes through the pairs from its own start, so neighbours differ.
    turns = {kind: itertools.cycle(pairs[i:] + pairs[:i]) for i, kind in enumerate(kinds)}
    seen = set()
    for seed, name in enumerate(("hubert-tiny", "sparseformer-dn-tiny", "hubert-tiny")):
        leaves = leaf_modules(random_model(preset(name), 0))
        leaves.pop("front_end.convs.0")
        rules = {}
        for leaf_name, leaf in leaves.items():
            kind = next(k for k in kinds if isinstance(leaf, k))
            rules[leaf_name] = next(turns[kind])
            seen.add((kind, rules[leaf_name]))
        model = model_of(name, plan=plan_file(tmp_path, rules), seed=seed)
        assert exported(model, tmp_path)["bit_agreement"] >= 0.9999, rules
    assert seen == set(itertools.product(kinds, pairs))


def test_trained_shifts_scales_and_biases_are_honoured(tmp_path):
    model = quantized_copy(random_model(preset("hubert-tiny"), 0), "w4a4", noise_clips(0))
    random = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=random)
        if name.endswith("input_quantizer.shift"):
            parameter.data = 0.3 * noise
        elif name.endswith("log_scale") or name.endswith("bias"):
            parameter.data += 0.2 * noise
        elif name.endswith("quantizer.scale"):
            parameter.data *= 1.3
    assert exported(model, tmp_path)["bit_agreement"] >= 0.9999


@pytest.mark.parametrize("plan", ["w1a2", "w4a4", "w1a1-frontend4"])
def test_a_convolution_gives_the_numbers_of_pytorch_to_the_last_bit(plan, tmp_path):
    model = model_of("hubert-tiny", plan=plan, seed=2)
    program = lower_model(model)
    write_program(program, tmp_path / "p.safetensors", {})
    session = Session(tmp_path / "p.safetensors")
    of_codes = next(i for i, op in enumerate(program.ops) if op["op"].startswith("conv_"))
    read = program.bits["front_end.convs.1"]
    made = next(
        i + 1
        for i, op in enumerate(program.ops)
        if i > of_codes and op["inputs"] == [read] and op["op"].startswith("conv_")
    )
    seen = {}
    conv = model.front_end.convs[1]
    hooks = [
        conv.input_quantizer.register_forward_hook(lambda *a: seen.update(codes=a[2])),
        conv.register_forward_hook(lambda *a: seen.update(y=a[2])),
    ]
    with torch.no_grad():
        model(torch.from_numpy(AUDIO)[None])
    for hook in hooks:
        hook.remove()
    codes, y = session.values(AUDIO, [read, made])
    assert np.array_equal(codes, seen["codes"][0].T.numpy()), "else nothing can be said"
    assert np.array_equal(y, seen["y"][0].T.numpy())


def test_weights_take_the_bytes_of_their_bits():
    sizes = {}
    for plan in ("fp32", "w2a2", "w4a4", "w8a8"):
        model = model_of("hubert-tiny", plan=plan, seed=0)
        tensors = lower_model(model).tensors
        sizes[plan] = sum(t.nbytes for name, t in tensors.items() if name.endswith(".weight"))
    n_quantized = sum(
        leaf.weight.numel()
        for leaf in quantized_leaves_of(model).values()
        if not isinstance(leaf, MatMul)
    )
    assert sizes["fp32"] - sizes["w8a8"] == 3 * n_quantized
    assert sizes["w8a8"] - sizes["w4a4"] == n_quantized // 2
    assert sizes["w4a4"] - sizes["w2a2"] == n_quantized // 4


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 3, 4)])
def test_packed_weights_are_their_codes_code_by_code(bits, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    quantizer = WeightQuantizer(bits, "channel", weight)
    packed = pack_codes(weight, quantizer)
    codes = quantizer(weight).int().numpy()
    rows = codes.swapaxes(1, 2).reshape(len(codes), -1) if len(shape) == 3 else codes
    assert packed.shape == (len(rows), -(-rows.shape[1] * bits // 8))
    for i, j in itertools.product(*map(range, rows.shape)):
        u = int(packed[i, j * bits // 8]) >> (j * bits % 8) & (2**bits - 1)
        assert rows[i, j] == (2 * u - 1 if bits == 1 else u - 2 ** (bits - 1))


@pytest.mark.parametrize("precision", [Precision(1, 32), Precision(8, 32), Precision(32, 4)])
@pytest.mark.parametrize(
    "leaf",
    ["front_end.convs.2", "encoder.position.conv", "encoder.layers.0.feed_forward.output"]
    + [f"encoder.layers.1.attention.{name}" for name in ("v_proj", "scores", "context")],
)
def test_a_leaf_with_one_operand_in_float_is_refused_by_name(leaf, precision):
    model = random_model(preset("hubert-tiny"), 0)
    convert(model, {leaf: precision})
    with pytest.raises(UnsupportedError, match=rf"{leaf}: {precision} has no op.*1, 2, 4 or 8"):
        lower_model(model)


@pytest.mark.parametrize("leaf", ["scores", "context"])
def test_attention_with_one_product_in_float_is_refused_by_name(leaf):
    model = random_model(preset("hubert-tiny"), 0)
    convert(model, {f"encoder.layers.1.attention.{leaf}": Precision(4, 4)})
    with pytest.raises(UnsupportedError, match=r"encoder\.layers\.1\.attention: of scores"):
        lower_model(model)


def test_a_sum_beyond_32_bits_is_refused_by_the_leaf():
    model = random_model(preset("hubert-tiny"), 0)
    block = model.encoder.layers[0].feed_forward
    with torch.device("meta"):
        block.output = Linear(65_794, 1)
    block.output.to_empty(device="cpu")
    block.output.weight.data.fill_(1.0)
    convert(model, {"encoder.layers.0.feed_forward.output": Precision(8, 8)})
    message = r"feed_forward\.output: the sum of 65794 products of w8a8.*65793"
    with pytest.raises(UnsupportedError, match=message):
        lower_model(model)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w8a8")
    return path


def test_the_precision_of_the_plan_is_listed_before_float(program):
    assert Session(program).origin["precisions"] == ["w8a8", "w32a32"]


def test_codes_that_differ_by_one_are_seen_where_they_arise_and_nowhere_else(program):
    model = model_of("sparseformer-dn-tiny", plan="w8a8", seed=0)
    quantizer = model.encoder.layers[1].feed_forward.output.input_quantizer
    with torch.no_grad():
        quantizer.shift += quantizer.scale
    agreed = verify(model, Session(program), AUDIO)
    assert agreed.worst_leaf == "encoder.layers.1.feed_forward.output"
    assert agreed.worst_bit_agreement < 0.1
    n_leaves = len(Session(program).bits)
    assert agreed.bit_agreement > 1 - 2 / n_leaves, "later leaves are given the program's codes"


@pytest.mark.parametrize(
    ("projection", "operand"),
    [("q_proj", "scores.left"), ("k_proj", "scores.right"), ("v_proj", "context.right")],
)
def test_codes_of_attention_that_differ_are_seen(program, projection, operand):
    model = model_of("sparseformer-dn-tiny", plan="w8a8", seed=0)
    attention = model.encoder.layers[1].attention
    with torch.no_grad():
        getattr(attention, projection).bias += 1.0
    session, operands = Session(program), operands_of(model)
    values = session.values(AUDIO, [session.bits[name] for name in operands])
    equal = {}
    with comparing(operands, dict(zip(operands, values, strict=True)), equal), torch.no_grad():
        model(torch.from_numpy(AUDIO)[None])
    name = f"encoder.layers.1.attention.{operand}"
    assert equal[name].mean() < 0.5
    assert all(equal[other].mean() > 0.99 for other in equal if ".layers.1.attention" not in other)


def test_probabilities_that_differ_are_seen_behind_the_attention(program):
    model = model_of("sparseformer-dn-tiny", plan="w8a8", seed=0)
    with torch.no_grad():
        model.encoder.layers[2].attention.context.left_quantizer.scale *= 3
    agreed = verify(model, Session(program), AUDIO)
    assert agreed.worst_leaf == "encoder.layers.2.attention.out_proj"


def test_threads_and_calls_do_not_change_a_bit(program):
    one = Session(program).run(AUDIO, layers="all")
    assert np.array_equal(one, Session(program, threads=3).run(AUDIO, layers="all"))
