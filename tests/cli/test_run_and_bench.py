"""`earbit run`, `bench` and `export` of a small program."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from one_line import fails

from earbit import _core
from earbit.cli.bench_programs import programs_of
from earbit.cli.main import main
from earbit.load import load_model, random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips, quantized_copy


def test_a_preset_is_timed_under_a_plan(capsys):
    main(
        [
            "bench",
            "sparseformer-dn-tiny",
            "--plan",
            "w1a1",
            "--seconds",
            "0.5",
            "--runs",
            "3",
            "--json",
            "-",
        ]
    )
    result = json.loads(capsys.readouterr().out)
    assert [record["engine"] for record in result["records"]] == ["earbit", "torch"]
    assert result["records"][1]["cosine"] > 0.9999
    assert result["versions"]["torch"]
    assert result["machine"]["cpu"]
    (program,) = result["programs"]
    of_preset = {"file": None, "name": "sparseformer-dn-tiny", "plan": "w1a1"}
    assert of_preset.items() <= program.items()
    assert len(program["digest"]) == 64


@pytest.mark.parametrize("is_quantized", [True, False])
def test_a_quantized_model_is_not_compared_with_its_weights_in_float(
    is_quantized, tmp_path, monkeypatch
):
    model = random_model(preset("sparseformer-dn-tiny"), 0)
    model = quantized_copy(model, "w1a1", noise_clips(0)) if is_quantized else model
    save_model(model, tmp_path / "model.safetensors", {"plan": "w1a1"})
    monkeypatch.setattr("earbit.export.verb.export_model", lambda *args, **named: None)
    with programs_of(str(tmp_path), (), 0, ()) as (programs, in_float):
        assert list(programs) == [""]
        assert (in_float is None) == is_quantized
        if in_float is not None:
            saved = load_model(in_float).state_dict()
            assert all(torch.equal(saved[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("is_quantized", [True, False])
def test_the_export_that_run_advises_for_a_model_folder_works(
    is_quantized, tmp_path, monkeypatch, capsys
):
    model = random_model(preset("hubert-tiny"), 0)
    model = quantized_copy(model, "w1a1", noise_clips(0)) if is_quantized else model
    (tmp_path / "model").mkdir()
    save_model(model, tmp_path / "model" / "model.safetensors", {"plan": "w1a1"})
    monkeypatch.chdir(tmp_path)
    advice = re.search("`earbit (.*?)`", fails(capsys, "run", "model", "x.wav"))[1]
    assert advice == "export model --out FILE.safetensors"
    main(advice.split())
    summary = capsys.readouterr().out
    assert ("all bits equal" in summary) == is_quantized
    assert _core.load_program(b"FILE.safetensors")


def test_run_takes_any_rate_and_channels_and_writes_features(tmp_path, program, capsys):
    rate_hz = 44_100
    stereo = 0.1 * np.random.default_rng(0).standard_normal((rate_hz, 2))
    soundfile.write(tmp_path / "stereo.wav", stereo, rate_hz)
    soundfile.write(tmp_path / "silence.flac", np.zeros(8000), 8000)
    paths = [str(tmp_path / "stereo.wav"), str(tmp_path / "silence.flac")]
    main(["run", str(program), *paths, "--out", str(tmp_path / "f.npz")])
    summary = json.loads(capsys.readouterr().out)
    features = np.load(tmp_path / "f.npz")
    assert [entry["frames"] for entry in summary] == [49, 49]
    for path in paths:
        assert features[path].shape == (49, 64)
        assert np.isfinite(features[path]).all()


def test_a_forced_instruction_set_gives_the_same_integers_and_an_unknown_one_is_refused(program):
    code = (
        "import sys, numpy as np; from earbit.runtime import Session;"
        "s = Session(sys.argv[1]); x = np.sin(np.arange(8000) / 9).astype('float32');"
        "print(s.kernels()['gemm_b1'], s.values(x, [s.bits['front_end.convs.3']])[0].sum())"
    )

    def run(isa: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(program)],
            capture_output=True,
            text=True,
            check=False,
            env={"EARBIT_ISA": isa, "PATH": ""},
        )

    scalar, best = run("scalar"), run("")
    assert scalar.stdout.split()[0] == "gemm_b1_4x8_scalar"
    assert scalar.stdout.split()[1] == best.stdout.split()[1]
    assert "mmx" in run("mmx").stderr


def test_bench_puts_both_engines_side_by_side(program, capsys):
    main(["bench", str(program), "--seconds", "1", "--runs", "3", "--json", "-"])
    records = json.loads(capsys.readouterr().out)["records"]
    assert [r["engine"] for r in records] == ["earbit", "torch"]
    wanted = {"precision", "threads", "seconds", "median_ms", "p10_ms", "p90_ms", "rtf"}
    for record in records:
        assert wanted | {"peak_rss_bytes"} <= set(record)
        assert record["p10_ms"] <= record["median_ms"] <= record["p90_ms"]
    assert records[0]["peak_rss_bytes"] < records[1]["peak_rss_bytes"]


def test_files_left_out_of_a_run_show_in_its_exit_status(tmp_path, program, capsys):
    soundfile.write(tmp_path / "good.wav", np.zeros(16_000), 16_000)
    (tmp_path / "bad.wav").write_text("no audio")
    out = tmp_path / "f.npz"
    with pytest.raises(SystemExit) as exit_info:
        main(["run", str(program), str(tmp_path), "--out", str(out), "--json", "-"])
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.err.splitlines()[-1].startswith("earbit: 1 of 2 files left out")
    assert len(json.loads(captured.out)) == 2
    assert list(np.load(out)) == [str(tmp_path / "good.wav")]


def test_run_is_a_table_on_a_terminal_and_json_elsewhere(tmp_path, program, capsys, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    args = ["run", str(program), str(tmp_path / "a.wav")]
    main(args)
    (entry,) = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(args)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["audio", "seconds", "frames", "width"]
    assert row.split()[:4] == [entry["audio"], "1.000", "49", "64"]
    main([*args, "--json", "-"])
    assert json.loads(capsys.readouterr().out)[0]["frames"] == 49


def test_a_terminal_is_told_that_features_are_not_kept(tmp_path, program, capsys, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    args = ["run", str(program), str(tmp_path / "a.wav")]
    main(args)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(args)
    assert capsys.readouterr().err == "the features are not kept; --out FILE.npz keeps them\n"
    main([*args, "--out", str(tmp_path / "f.npz")])
    assert capsys.readouterr().err == ""


def test_an_interrupted_measurement_writes_what_is_finished(program, capsys, tmp_path, monkeypatch):
    from earbit.bench import verb as bench_verb

    whole = bench_verb.bench

    def ends_at_two_threads(programs, *, threads, **others):
        if threads == 2:
            raise KeyboardInterrupt
        return whole(programs, threads=threads, **others)

    monkeypatch.setattr(bench_verb, "bench", ends_at_two_threads)
    report = tmp_path / "new" / "times.json"
    args = ["--engines", "none", "--runs", "2", "--seconds", "0.5", "--threads", "1", "2"]
    with pytest.raises(SystemExit) as end:
        main(["bench", str(program), *args, "--json", str(report)])
    captured = capsys.readouterr()
    assert end.value.code == 130
    assert "ended early: 1 of 2 points" in captured.err
    assert captured.err.splitlines()[-1].startswith("earbit: interrupted")
    assert captured.out.startswith("engine")
    (record,) = json.loads(report.read_text())["records"]
    assert (record["threads"], record["n_runs"]) == (1, 2)


def test_what_makes_features_worthless_is_said(capsys, tmp_path):
    out = str(tmp_path / "x.safetensors")
    main(["export", "hubert-tiny", "--out", out])
    captured = capsys.readouterr()
    assert "random weights" in captured.err
    assert "of bits" not in captured.out
