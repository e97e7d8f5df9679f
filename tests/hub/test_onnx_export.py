"""`earbit export --format onnx`: any size of batch and audio, with ONNX Runtime as the judge."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.cli.main import main
from earbit.config import override
from earbit.encoders.wavlm import WavlmConfig
from earbit.errors import ConfigError, UnsupportedError
from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.export.program import Program
from earbit.frames import n_frames_of
from earbit.load import random_model
from earbit.model_digest import weights_digest
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.superb.tasks import TASKS
from random_heads import head_for

onnx = pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")
onnxruntime = pytest.importorskip("onnxruntime")
from earbit.hub.onnx.export import export_onnx  # noqa: E402
from earbit.hub.onnx.graph import Graph  # noqa: E402
from earbit.hub.onnx.translate import OPS, onnx_model  # noqa: E402

TINY = ["hubert-tiny", "conformer-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny"]
AUDIO = np.concatenate(noise_clips(4, n_clips=2))


def batch_of(lengths):
    """Clips of noise, padded with zeros, and their mask."""
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    audio = np.stack([AUDIO[i : i + max(lengths)] for i in range(len(lengths))])
    return (audio * mask).astype(np.float32), mask.astype(np.int64)


def run(model, audio, mask=None, *, in_float=False):
    options = onnxruntime.SessionOptions()
    if in_float:  # codes are multiplied as the floats that they stand for
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model),
        options,
        providers=["CPUExecutionProvider"],
    )
    inputs = {"input_values": audio} | ({} if mask is None else {"attention_mask": mask})
    return session.run(None, inputs)


def serialized(model, **more):
    return onnx_model(lower_model(model), {}, **more).SerializeToString()


def assert_equal_states(model, graph, lengths, rtol=1e-4):
    audio, mask = batch_of(lengths)
    found, n_frames = run(graph, audio, mask)
    assert n_frames.tolist() == [n_frames_of(n) for n in lengths]
    for row, n_samples in enumerate(lengths):
        with torch.no_grad():
            alone = model(torch.from_numpy(audio[row : row + 1, :n_samples])).states[-1][0].numpy()
        real = found[row, : len(alone)]
        assert np.abs(real - alone).max() < rtol * np.abs(alone).max()


@pytest.mark.parametrize("name", [*TINY, "sparseformer-sw-tiny", "sparseformer-stream-tiny"])
def test_clips_of_any_length_in_a_batch_are_encoded_as_each_alone_in_pytorch(name):
    model = random_model(preset(name), 0).eval()
    graph = serialized(model)
    for lengths in ([8000], [400, 720, 4001], [5000, 9000], [16_000, 16_000]):
        assert_equal_states(model, graph, lengths)


@pytest.mark.parametrize("plan", [None, "w1a1", "w8a8"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_gated_position_bias_of_wavlm_is_that_of_pytorch(norm, plan):
    encoder = WavlmConfig(
        n_layers=1, d_model=64, n_heads=4, d_ffn=80, norm=norm, n_buckets=16, max_distance=20
    )
    model = random_model(replace(preset("hubert-tiny"), encoder=encoder), 0).eval()
    with torch.no_grad():
        model.encoder.position_bias.weight.normal_(generator=torch.Generator().manual_seed(1))
    if plan is not None:
        model = quantized_copy(model, plan, noise_clips(0)).eval()
    # A code of 8 bits next to a rounding border may flip.
    rtol = 0.1 if plan == "w8a8" else 1e-4
    assert_equal_states(model, serialized(model), [14_000, 5000], rtol)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        *((name, "w1a1") for name in TINY),
        ("hubert-tiny", "w1a1-encoder"),
        ("sparseformer-dn-tiny", "w1a2"),
        ("conformer-tiny", "w4a4"),
    ],
)
def test_plans_of_few_bits_are_computed_exactly(name, plan):
    model = model_of(name, plan=plan, seed=0)
    graph = serialized(model)
    for lengths in ([3000], [5000, 4000]):
        assert_equal_states(model, graph, lengths)


@pytest.mark.parametrize("name", TINY)
def test_8_bit_products_are_integers_with_a_high_agreement(name):
    model = model_of(name, plan="w8a8", seed=0)
    graph = onnx_model(lower_model(model), {})
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    inputs = [n.input for n in graph.graph.node if n.op_type == "DequantizeLinear"]
    of_weights = [weights[name] for name, *_ in inputs if name in weights]
    assert len(of_weights) >= 20
    assert {tensor.data_type for tensor in of_weights} == {onnx.TensorProto.INT8}
    audio, mask = batch_of([9000, 6000])
    with torch.no_grad():
        expected = model(torch.from_numpy(audio), torch.tensor([9000, 6000])).states[-1].numpy()
    # Integer products of ONNX Runtime saturate on x86 without VNNI.
    for in_float, least in ((True, 0.9999), (False, 0.99)):
        found, n_frames = run(graph.SerializeToString(), audio, mask, in_float=in_float)
        for real, other, n in zip(found, expected, n_frames, strict=True):
            real, other = real[:n], other[:n]
            assert np.vdot(real, other) > least * np.linalg.norm(real) * np.linalg.norm(other)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_random_configurations_are_encoded_as_in_pytorch(data):
    name = data.draw(st.sampled_from(TINY))
    n_heads = data.draw(st.sampled_from([1, 2, 4]))
    changes = {
        "encoder.n_heads": n_heads,
        "encoder.d_model": 16 * n_heads * data.draw(st.integers(1, 2)),
        "encoder.d_ffn": data.draw(st.integers(1, 90)),
        "encoder.position_kernel": data.draw(st.integers(1, 20)),
        "front_end.norm": data.draw(st.sampled_from(["channel", "layer", "batch"])),
        "front_end.shortcut": json.dumps(data.draw(st.booleans())),
        "front_end.conv_bias": json.dumps(data.draw(st.booleans())),
        "front_end.n_channels": data.draw(st.integers(2, 24)),
        "normalize_waveform": json.dumps(data.draw(st.booleans())),
    }
    if name == "hubert-tiny":
        changes["encoder.norm"] = data.draw(st.sampled_from(["pre", "post"]))
    if name == "sparseformer-dn-tiny":
        changes["encoder.pattern.frames"] = data.draw(st.integers(1, 50))
    config = override(preset(name), [f"{key}={value}" for key, value in changes.items()])
    lengths = data.draw(st.lists(st.integers(400, 9000), min_size=1, max_size=3))
    model = random_model(config, 0).eval()
    assert_equal_states(model, serialized(model), lengths)


@pytest.mark.parametrize("name", TINY)
def test_a_graph_of_a_fixed_length_needs_no_mask(name):
    model = random_model(preset(name), 0).eval()
    (found,) = run(serialized(model, n_samples=8000), AUDIO[None, :8000])
    with torch.no_grad():
        expected = model(torch.from_numpy(AUDIO[None, :8000])).states[-1].numpy()
    assert np.allclose(found, expected, atol=1e-5)


HEADS = [("ks", "class"), ("pr", "sequence"), ("asr", "sequence"), ("sd", "segments")]


@pytest.mark.parametrize(("task", "kind"), [*HEADS, ("asv", "vector")])
def test_scores_of_a_head_are_those_of_pytorch_for_every_clip_of_a_batch(task, kind, tmp_path):
    model = random_model(preset("conformer-tiny"), 0).eval()
    save_model(model, tmp_path / "model.safetensors", {})
    labels = ("<blank>", " ", "a") if kind == "sequence" else ("a", "b", "c")
    head = head_for(model, tmp_path / task, task=TASKS[task], labels=labels, d_hidden=10).eval()
    assert TASKS[task].kind == kind
    export_onnx(str(tmp_path / "model.safetensors"), tmp_path / "out", head=tmp_path / task)
    lengths = [9000, 6000] if kind == "vector" else [9000, 1000]
    audio, mask = batch_of(lengths)
    found = run(tmp_path / "out" / "onnx" / "model.onnx", audio, mask)[0]
    for row, n_samples in enumerate(lengths):
        with torch.no_grad():
            states = torch.stack(model(torch.from_numpy(audio[row : row + 1, :n_samples])).states)
            alone = head(states, torch.tensor([states.shape[2]]))[0].numpy()
        real = found[row] if kind in ("class", "vector") else found[row, : len(alone)]
        assert np.ptp(alone) > 0
        assert np.abs(real - alone).max() < 1e-4 * np.ptp(alone)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["earbit"]["head"]["kind"] == kind
    if kind == "class":
        assert config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    if kind == "sequence":
        vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
        assert vocabulary == {"<pad>": 0, "|": 1, "a": 2}
        # The file that transformers.js reads.
        fast = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
        assert fast.encode("a a").ids == [2, 1, 2]
        assert fast.decode([2, 2, 0, 2, 1, 1, 2], skip_special_tokens=False) == "aa a"


def test_a_float_model_and_its_quantized_form_share_a_folder_and_others_do_not(tmp_path, capsys):
    out = tmp_path / "out"
    main(["export", "conformer-tiny", "--format", "onnx", "--out", str(out), "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert result["agreement"]["max_abs_error"] < 1e-4
    export_onnx("conformer-tiny", out, plan="w8a8")
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert names == [
        "README.md",
        "config.json",
        "onnx/model.onnx",
        "onnx/model_quantized.onnx",
        "preprocessor_config.json",
    ]
    assert "library_name: onnx" in (out / "README.md").read_text()
    for name, seed in (("hubert-tiny", 0), ("conformer-tiny", 1)):
        with pytest.raises(ConfigError, match="holds another model"):
            export_onnx(name, out, plan="w8a8", seed=seed)
    with pytest.raises(ConfigError, match=r"holds other files \(onnx\)"):
        main_hf(out)


def test_a_model_that_was_quantized_in_training_shares_the_folder_of_its_float_model(tmp_path):
    export_onnx("conformer-tiny", tmp_path / "out")
    student = model_of("conformer-tiny", plan="w1a1", seed=1)
    teachers = {"ancestors": [weights_digest(random_model(preset("conformer-tiny"), 0))]}
    save_model(student, tmp_path / "model.safetensors", teachers)
    result = export_onnx(str(tmp_path / "model.safetensors"), tmp_path / "out")
    assert {"onnx/model.onnx", "onnx/model_quantized.onnx"} < set(result["files"])


def main_hf(out):
    from earbit.hub.export import export_to_format

    nothing = {"plan": None, "seed": 0, "head": None, "settings": (), "corpus": None}
    export_to_format("hf", "conformer-tiny", out, **nothing)


def test_large_weights_are_in_a_second_file(tmp_path, monkeypatch):
    monkeypatch.setattr("earbit.hub.onnx.file.MAX_BYTES", 1000)
    result = export_onnx("conformer-tiny", tmp_path / "out")
    assert "onnx/model.onnx_data" in result["files"]
    assert (tmp_path / "out" / "onnx" / "model.onnx").stat().st_size < 300_000


@pytest.mark.parametrize("limit", [1000, 2000])
def test_only_equal_constants_up_to_the_limit_are_stored_once(limit, monkeypatch):
    monkeypatch.setattr("earbit.hub.onnx.graph.MAX_SHARED_BYTES", limit)
    graph = Graph()
    small, large = np.zeros(limit, np.uint8), np.zeros(limit + 1, np.uint8)
    assert graph.constant(small) == graph.constant(small.copy())
    assert len({graph.constant(array) for array in (small, small + 1, large, large)}) == 4


def test_every_op_of_programs_has_a_translation():
    table = Path(__file__).parents[2] / "csrc" / "graph" / "ops.def"
    assert sorted(OPS) == sorted(re.findall(r"^OP\((\w+),", table.read_text(), re.MULTILINE))


def test_an_op_without_a_translation_is_named():
    program = Program()
    program.outputs = [program.add("fourier", [0])]
    with pytest.raises(UnsupportedError, match="op 'fourier' has no translation to ONNX"):
        onnx_model(program, {})


def test_a_missing_extra_is_one_line_with_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit, match="2"):
        main(["export", "hubert-tiny", "--format", "onnx", "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert "--format onnx needs onnxruntime of the extra `onnx`; install it with: " in error
    assert len(error.splitlines()) == 1
