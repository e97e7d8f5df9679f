"""Other engines compute what PyTorch does, or are refused before they are timed."""

import re

import numpy as np
import pytest

from earbit.bench import side_by_side, turns
from earbit.bench.peers import catalogue
from earbit.bench.peers.catalogue import PEERS, peers_named, why_left_out
from earbit.bench.side_by_side import bench
from earbit.errors import ConfigError, UnsupportedError
from earbit.export.verb import export_model
from earbit.extras import install_command_of
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset

NAME = "sparseformer-dn-tiny"


@pytest.fixture(autouse=True)
def _one_run(monkeypatch):
    monkeypatch.setattr(turns, "N_RUNS", 1)
    monkeypatch.setattr(turns, "N_WARM_UPS", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where models of two seeds, a float program of the first and files for engines lie."""
    folder = tmp_path_factory.mktemp("peers")
    for seed in (0, 1):
        save_model(random_model(preset(NAME), seed).eval(), folder / f"{seed}.safetensors", {})
    export_model(NAME, folder / "fp32.safetensors", plan="fp32", seed=0)
    return folder


def bench_beside(folder, *engines, seed=0, into=None):
    return bench(
        {"fp32": folder / "fp32.safetensors"},
        seconds=0.5,
        threads=1,
        engines=engines,
        model=folder / f"{seed}.safetensors",
        folder=into or folder,
    )


@pytest.mark.parametrize("family", ["torch", "onnxruntime", "openvino"])
def test_an_engine_computes_what_pytorch_does_and_fewer_bits_are_a_little_off(folder, family):
    if why_left_out(family):
        pytest.skip(f"{family}: {why_left_out(family)}")
    named = [name for name in PEERS if name.partition("-")[0] == family]
    names = [name for name in named if not why_left_out(name)]
    ours, *peers = bench_beside(folder, *names)
    assert ours["cosine"] > 0.9999
    assert [record["engine"] for record in peers] == names
    exact, *fewer_bits = peers
    assert exact["max_abs_error"] < 1e-3
    for record in fewer_bits:
        assert 0.99 < record["cosine"] < 1 - 1e-6, record["engine"]
        assert record["max_abs_error"] > 10 * exact["max_abs_error"]


def test_a_float_program_whose_output_is_not_that_of_its_model_is_refused(folder, tmp_path):
    with pytest.raises(UnsupportedError, match=r"earbit fp32 gives another output .* cosine 0\.\d"):
        bench_beside(folder, seed=1, into=tmp_path)


def test_a_reference_output_that_was_not_finished_is_made_again(folder, tmp_path, monkeypatch):
    def killed(engine, file, output, **_):
        output.write_bytes(b"half of an array")
        raise UnsupportedError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(side_by_side, "started", killed)
        with pytest.raises(UnsupportedError, match="killed"):
            bench_beside(folder, into=tmp_path)
    (ours,) = bench_beside(folder, into=tmp_path)
    assert ours["cosine"] > 0.9999


def test_a_peer_whose_output_is_not_pytorchs_is_refused(program, folder, tmp_path):
    np.save(tmp_path / "0.5-s.npy", np.random.default_rng(0).standard_normal((24, 64)))
    with pytest.raises(UnsupportedError, match="engine torch gives another output"):
        bench({"w1a1": program}, seconds=0.5, threads=1, engines=["torch"], folder=tmp_path)


def test_what_an_engine_reads_and_cannot_be_made_gives_the_reason(program, tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_text("no model")
    with pytest.raises(UnsupportedError, match="onnx of this model for 0.5 s cannot be made .*mod"):
        bench({"": program}, seconds=0.5, threads=1, engines=["onnxruntime"], folder=tmp_path)


def test_an_engine_that_is_not_installed_is_left_out_with_the_package_to_install(
    monkeypatch, capsys
):
    monkeypatch.setattr(
        catalogue.importlib.util, "find_spec", lambda name: None if name == "openvino" else name
    )
    assert peers_named(["openvino-int8", "torch"]) == ["torch"]
    assert capsys.readouterr().err == (
        "openvino-int8: left out, there is no openvino; install it with: "
        f"{install_command_of(['openvino'])}\n"
    )
    assert re.search(r"pip install 'openvino[^ ]*'$", install_command_of(["openvino"]))


def test_all_names_the_packages_of_all_engines_that_are_left_out_once(monkeypatch, capsys):
    lacking = ["onnx", "onnxruntime", "openvino", "nncf"]
    monkeypatch.setattr(
        catalogue.importlib.util, "find_spec", lambda name: None if name in lacking else name
    )
    assert peers_named(["all"]) == ["torch", "torch-bf16", "torch-int8"]
    left_out = [name for name in PEERS if not name.startswith("torch")]
    assert capsys.readouterr().err == (
        f"{', '.join(left_out)}: left out, there is no {', no '.join(lacking)}; install them with: "
        f"{install_command_of(lacking)}\n"
    )
    assert "lhotse" not in install_command_of(["torch", *lacking])


def test_openvino_in_bfloat16_is_left_out_on_a_cpu_without_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(catalogue, "_CPU", tmp_path / "cpuinfo")
    for flags, left in (("avx2 fma", []), ("avx2 avx512_bf16", ["openvino-bf16"])):
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}")
        assert peers_named(["openvino-bf16", "openvino", "torch-bf16"]) == [
            *left,
            "openvino",
            "torch-bf16",
        ]
    assert capsys.readouterr().err.count("openvino-bf16: left out, this CPU has no") == 1


def test_all_is_every_engine_once_and_an_unknown_one_is_named(monkeypatch):
    monkeypatch.setattr(catalogue, "why_left_out", lambda _: None)
    assert peers_named(["torch", "all"]) == list(PEERS)
    assert peers_named(["openvino", "torch", "openvino"]) == ["openvino", "torch"]
    assert peers_named([]) == peers_named(["none"]) == []
    with pytest.raises(ConfigError, match="none torch: 'none' excludes others"):
        peers_named(["none", "torch"])
    with pytest.raises(ConfigError, match="no engine 'tensorflow' .*: none, all, torch, torch-"):
        peers_named(["tensorflow"])
