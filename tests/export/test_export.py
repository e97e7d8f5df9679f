"""The packed program against the PyTorch model, for every kind of encoder and plan."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from earbit.errors import ConfigError, DataError, FormatError, UnsupportedError
from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.export.program import write_program
from earbit.export.verb import export_model, export_to
from earbit.export.verify import verify
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.nn.filterbank import FilterbankConfig
from earbit.nn.precision import W1A1
from earbit.presets import preset
from earbit.quantize.convert import convert
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.runtime import Session

AUDIO = noise_clips(9, n_clips=1)[0]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path


@pytest.mark.parametrize("name", ["hubert-tiny", "sparseformer-dn-tiny", "sparseformer-sw-tiny"])
@pytest.mark.parametrize("plan", ["fp32", "w1a1-encoder", "w1a1"])
def test_the_program_agrees_with_pytorch_in_bits_and_outputs(name, plan, tmp_path):
    agreement = export_model(name, tmp_path / "p.safetensors", plan=plan)["agreement"]
    assert agreement["bit_agreement"] >= 0.9999
    assert agreement["output_cosine"] >= 0.99999
    assert agreement["max_abs_error"] < 1e-2
    assert agreement["n_frames"] == 99


@pytest.mark.parametrize("n_samples", [400, 719, 720, 5000, 17_777])
@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
def test_all_hidden_states_agree_at_any_length(n_samples, plan, tmp_path):
    model = model_of("sparseformer-dn-tiny", plan=plan, seed=4)
    export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    audio = noise_clips(n_samples, n_clips=1, n_samples=n_samples)[0]
    ours = Session(tmp_path / "p.safetensors").run(audio, layers="all")
    with torch.no_grad():
        theirs = torch.cat(model(torch.from_numpy(audio)[None]).states).numpy()
    assert ours.shape == theirs.shape
    norms = np.linalg.norm(ours) * np.linalg.norm(theirs)
    assert np.vdot(ours, theirs) / norms > 0.9999


def test_trained_shifts_and_scales_are_honoured(tmp_path):
    model = random_model(preset("hubert-tiny"), 0)
    model = quantized_copy(model, "w1a1", noise_clips(0))
    random = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("input_quantizer.shift"):
            noise = torch.randn(parameter.shape, generator=random)
            parameter.data = 0.3 * noise
        if name.endswith("bias"):
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=random)
    result = export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    assert result["agreement"]["bit_agreement"] >= 0.9999


def test_threads_and_calls_do_not_change_a_bit(program):
    one = Session(program).run(AUDIO, layers="all")
    assert np.array_equal(one, Session(program, threads=3).run(AUDIO, layers="all"))
    session = Session(program)
    assert all(np.array_equal(a, one[-1]) for a in session.run_batch([AUDIO, AUDIO]))
    assert np.array_equal(session.run(AUDIO), one[-1])


def test_the_packed_file_is_really_one_bit(tmp_path):
    small = export_model("hubert-tiny", tmp_path / "b.safetensors", plan="w1a1")["bytes"]
    large = export_model("hubert-tiny", tmp_path / "f.safetensors", plan="fp32")["bytes"]
    assert large > 8 * small


def test_a_mixed_attention_is_refused_by_name():
    model = random_model(preset("hubert-tiny"), 0)
    convert(model, {"encoder.layers.1.attention.scores": W1A1})
    with pytest.raises(UnsupportedError, match=r"encoder\.layers\.1\.attention"):
        lower_model(model)


def test_a_binary_first_convolution_is_refused_by_name():
    model = random_model(preset("hubert-tiny"), 0)
    convert(model, {"front_end.convs.0": W1A1})
    with pytest.raises(UnsupportedError, match=r"front_end\.convs\.0"):
        lower_model(model)


def test_what_is_neither_preset_nor_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither a preset nor a model file"):
        export_model("hubert-nano", tmp_path / "p.safetensors")


@pytest.mark.parametrize("n_samples", [0, 1, 399])
def test_too_short_audio_is_refused(program, n_samples):
    with pytest.raises(DataError, match=f"{n_samples} samples"):
        Session(program).run(np.zeros(n_samples, np.float32))


def test_audio_that_is_not_finite_or_not_mono_is_refused(program):
    audio = AUDIO.copy()
    audio[[5, 9]] = np.nan, np.inf
    with pytest.raises(DataError, match="2 samples"):
        Session(program).run(audio)
    with pytest.raises(DataError, match=r"shape \(2, 800\)"):
        Session(program).run(np.zeros((2, 800), np.float32))


def damaged(header):
    """Ways to damage a header that parses as JSON."""
    yield "format", {**header, "format": "earbit-program-99"}
    yield "no ops", {**header, "ops": []}
    yield "no outputs", {**header, "outputs": []}
    yield "a value from nowhere", {**header, "outputs": [10_000]}
    first, *rest = header["ops"]
    yield "unknown op", {**header, "ops": [{**first, "op": "system"}, *rest]}
    yield "reads itself", {**header, "ops": [{**first, "inputs": [1]}, *rest]}
    yield "huge int", {**header, "ops": [{**first, "ints": {**first["ints"], "kernel": 2**40}}]}
    yield "no such tensor", {**header, "ops": [{**first, "tensors": {"weight": "x"}}, *rest]}
    yield "left over", {**header, "ops": [{**first, "floats": {"eps": 1.0, "more": 1.0}}, *rest]}
    yield "a list", []


def test_a_damaged_program_is_a_format_error(program, tmp_path):
    from safetensors import safe_open

    tensors = load_file(program)
    with safe_open(program, framework="numpy") as file:
        header = json.loads(file.metadata()["earbit"])
    for name, broken in damaged(header):
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path, {"earbit": json.dumps(broken)})
        with pytest.raises(FormatError):
            Session(path)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 5000, -1])
def test_a_truncated_file_is_a_format_error(program, keep, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(program.read_bytes()[:keep])
    with pytest.raises(FormatError, match="cut.safetensors"):
        Session(path)


def test_a_foreign_file_is_a_format_error(tmp_path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("foreign.safetensors", "text.safetensors", "missing.safetensors"):
        with pytest.raises(FormatError, match=name):
            Session(tmp_path / name)


def test_a_program_is_written_whole_or_not_at_all(tmp_path):
    model = model_of("hubert-tiny", plan=None, seed=0)
    with pytest.raises(DataError, match="cannot be written"):
        write_program(lower_model(model), tmp_path / "missing" / "p.safetensors", {})
    assert list(tmp_path.iterdir()) == []


def test_every_operand_that_is_packed_is_compared(program):
    agreed = verify(model_of("sparseformer-dn-tiny", plan="w1a1", seed=0), Session(program), AUDIO)
    assert agreed.bit_agreement >= 0.9999
    session = Session(program)
    session.bits = {n: v for n, v in session.bits.items() if "layers.2" not in n}
    with pytest.raises(RuntimeError, match=r"layers\.2\.attention\.scores\.left"):
        verify(model_of("sparseformer-dn-tiny", plan="w1a1", seed=0), session, AUDIO)


def test_bits_of_keys_that_differ_are_seen(program):
    model = model_of("sparseformer-dn-tiny", plan="w1a1", seed=0)
    with torch.no_grad():
        model.encoder.layers[1].attention.k_proj.bias += 1e6
    agreed = verify(model, Session(program), AUDIO)
    assert agreed.worst_leaf == "encoder.layers.1.attention.scores.right"
    assert agreed.worst_bit_agreement < 0.9


def test_a_model_with_broken_weights_leaves_no_program(tmp_path):
    model = model_of("hubert-tiny", plan=None, seed=0)
    with torch.no_grad():
        model.encoder.layers[1].feed_forward.output.weight[0, 0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    assert not list(tmp_path.iterdir())


def test_settings_are_for_presets_and_make_another_program_of_one(tmp_path):
    file = tmp_path / "shallow.safetensors"
    export_model("sparseformer-dn-tiny", file, plan="w1a1", settings=["encoder.n_layers=1"])
    ops = [time.op for time in Session(file).profile(AUDIO)]
    assert sum(name.startswith("attention_b1") for name in ops) == 1
    save_model(random_model(preset("sparseformer-dn-tiny"), 0), tmp_path / "model.safetensors", {})
    with pytest.raises(ConfigError, match=r"--set encoder\.n_layers=1 with .*for presets"):
        export_model(str(tmp_path), tmp_path / "x.safetensors", settings=["encoder.n_layers=1"])


def test_an_attention_of_which_one_product_is_in_float_is_refused_by_name(tmp_path):
    mine = {"encoder.layers.*": "w4a4", "encoder.layers.0.attention.scores": "fp32"}
    (tmp_path / "mine.json").write_text(json.dumps(mine))
    with pytest.raises(UnsupportedError, match=r"encoder\.layers\.0\.attention: of scores,.*some"):
        export_model("conformer-tiny", tmp_path / "x.safetensors", plan=str(tmp_path / "mine.json"))


@pytest.mark.parametrize("plan", ["fp32", "w1a1-encoder", "w1a1"])
def test_pre_norm_layer_norms_and_normalised_audio_are_lowered(plan, tmp_path):
    tiny = preset("hubert-tiny")
    config = dataclasses.replace(
        tiny,
        encoder=dataclasses.replace(tiny.encoder, norm="pre"),
        front_end=dataclasses.replace(tiny.front_end, norm="layer", conv_bias=True),
        normalize_waveform=True,
        waveform_eps=1e-7,
    )
    model = quantized_copy(random_model(config, 0).eval(), plan, noise_clips(0)).eval()
    quiet = 3e-3 * AUDIO
    agreement = export_to(model, tmp_path / "p.safetensors", name="t", waveform=quiet)["agreement"]
    assert agreement["bit_agreement"] >= 0.9999
    assert agreement["output_cosine"] >= 0.9999


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("norm", ["channel", "layer", "batch"])
@pytest.mark.parametrize("plan", ["fp32", "w1a1"])
def test_norms_and_shortcuts_of_a_front_end_are_lowered(plan, norm, shortcut, tmp_path):
    tiny = preset("hubert-tiny")
    front_end = dataclasses.replace(tiny.front_end, norm=norm, shortcut=shortcut)
    model = random_model(dataclasses.replace(tiny, front_end=front_end), 0)
    torch.manual_seed(0)
    for module in model.front_end.norms:
        torch.nn.init.uniform_(module.weight, -1.5, 1.5)
        torch.nn.init.uniform_(module.bias, -0.5, 0.5)
        if norm == "batch" and hasattr(module, "running_mean"):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    model = quantized_copy(model, plan, noise_clips(0)).eval()
    made = export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    assert made["agreement"]["bit_agreement"] >= 0.9999
    # Six layers hand on a bit that fell the other way: 0.998 for one of these on some CPUs.
    assert made["agreement"]["output_cosine"] >= 0.99


@pytest.mark.parametrize("plan", ["fp32", "w1a1", "w8a8"])
@pytest.mark.parametrize("n_mels", [1, 40, 80])
def test_a_filterbank_and_its_batch_norm_are_lowered(plan, n_mels, tmp_path):
    config = dataclasses.replace(preset("hubert-tiny"), front_end=FilterbankConfig(n_mels=n_mels))
    model = random_model(config, 0)
    model.train()(torch.from_numpy(AUDIO)[None])
    model = quantized_copy(model.eval(), plan, noise_clips(0)).eval()
    made = export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    assert made["agreement"]["bit_agreement"] >= 0.9999
    assert made["agreement"]["output_cosine"] >= 0.9999


def front_end_makers(program):
    """The ops that make the bits of the front end."""
    values = [value for name, value in program.bits.items() if name.startswith("front_end.")]
    return [program.ops[value - 1]["op"] for value in values]


@pytest.mark.parametrize(("norm", "n_packs"), [("channel", 0), ("batch", 0), ("layer", 6)])
def test_between_binary_convolutions_only_a_layer_norm_needs_floats(norm, n_packs):
    tiny = preset("hubert-tiny")
    config = dataclasses.replace(tiny, front_end=dataclasses.replace(tiny.front_end, norm=norm))
    program = lower_model(quantized_copy(random_model(config, 0), "w1a1", noise_clips(0)).eval())
    makers = front_end_makers(program)
    assert len(makers) == 6
    assert makers.count("pack") == n_packs
