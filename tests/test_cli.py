"""The command line: bad input gives one clear line and exit status 2, and loses nothing."""

import inspect
import json
import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import soundfile

from earbit.cli.main import VERBS, main
from earbit.cost.peers.catalogue import PEERS
from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS

PROGRESS = re.compile(
    r"[\w -]+( of [\w.-]+)?: (\d+ of \d+|\d+ s|by|the corpus)|splits for|making |.*: random weights"
)
"""Plain lines of work that began before the error was found."""


def fails(capsys, *args: str) -> str:
    """The one line that a user's error prints; its exit status must be 2."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(arg) for arg in args])
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not PROGRESS.match(line)]
    assert len(lines) == 1
    assert lines[0].startswith("earbit: ")
    return lines[0]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "tiny.safetensors"
    main(["export", "sparseformer-dn-tiny", "--plan", "w1a1", "--out", str(path), "--json", "-"])
    return path


def test_help_names_every_verb():
    done = subprocess.run(
        [sys.executable, "-m", "earbit", "--help"], capture_output=True, text=True, check=True
    )
    for verb in VERBS:
        assert verb in done.stdout


def test_the_version_is_said(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"earbit {metadata.version('earbit')}\n"


@pytest.mark.parametrize(
    "args", [["bench", "x", "--thread", "2"], ["bench", "x", "--threads", "two"], ["bench"]]
)
def test_a_mistake_points_to_the_help_of_its_own_verb(args, capsys):
    line = fails(capsys, *args)
    assert "earbit bench --help" in line
    assert line.count("--help") == 1


def test_a_place_where_no_json_can_be_written_is_refused_before_any_work(capsys, tmp_path):
    args = ["bench", "hubert-tiny", "--plan", "w1a1", "--json"]
    assert f"{tmp_path}: a folder" in fails(capsys, *args, tmp_path)
    (tmp_path / "file").write_text("x")
    assert "cannot write there" in fails(capsys, *args, tmp_path / "file" / "x.json")


def help_of(verb, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([verb, "--help"])
    assert exit_info.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_each_of_its_arguments(verb, capsys):
    text = help_of(verb, capsys)
    assert "--" in text
    # What tyro writes where we say nothing: a type in capitals, or a default without a text.
    assert not re.findall(r"\b(?:STR|PATH|INT|FLOAT)\b", text)
    assert not re.findall(r"(?:None|: )\)", text)
    for parameter in inspect.signature(VERBS[verb], eval_str=True).parameters.values():
        told = [one.help for one in parameter.annotation.__metadata__ if hasattr(one, "help")]
        assert any(told), parameter


@pytest.mark.parametrize(
    ("verb", "names"),
    [("export", {*PRESETS, *PLANS}), ("bench", {*PRESETS, *PLANS, *PEERS}), ("study", {*PRESETS})],
)
def test_help_lists_what_may_be_given(verb, names, capsys):
    text = help_of(verb, capsys)
    assert names <= set(re.findall(r"[a-z][\w-]+", text))


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["study", "--scale", "huge"], "'huge'"),
        (["doctor", "--nope"], "--nope"),
        (["frobnicate"], "frobnicate"),
        (["profile", "--seconds", "abc"], "'abc'"),
        (["run"], "Missing"),
        (["units", "x", "--out", "y", "--seed", "-1"], "--seed -1"),
        (["study", "--encoders"], "encoders"),
        ([], "doctor"),
    ],
)
def test_a_command_that_does_not_exist_is_explained_in_one_line(args, named, capsys):
    assert named in fails(capsys, *args)


def test_several_processes_are_refused_instead_of_each_training_alone(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    line = fails(capsys, "pretrain", "recipes/hubert_tiny.py", "--out", "x")
    assert "WORLD_SIZE=2" in line


def test_a_preset_is_timed_under_a_plan(capsys):
    main(["bench", "sparseformer-dn-tiny", "--plan", "w1a1", "--seconds", "0.5", "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert [record["engine"] for record in result["records"]] == ["earbit", "torch"]
    assert result["records"][1]["cosine"] > 0.9999
    assert result["versions"]["torch"]
    assert result["machine"]["cpu"]


def test_an_unknown_preset_is_named(capsys, tmp_path):
    line = fails(capsys, "export", "hubert-bose", "--out", tmp_path / "x.safetensors")
    assert "'hubert-bose'" in line
    assert "hubert-base" in line


def test_an_unknown_plan_is_named(capsys, tmp_path):
    line = fails(
        capsys, "export", "hubert-tiny", "--plan", "w1a3", "--out", tmp_path / "x.safetensors"
    )
    assert "'w1a3'" in line
    assert "w1a1" in line


def test_an_empty_folder_is_no_corpus(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    line = fails(capsys, "prepare", "folder", "--root", tmp_path / "empty", "--out", tmp_path / "o")
    assert "no usable audio" in line


def test_a_folder_that_is_not_there_is_named(capsys, tmp_path):
    line = fails(capsys, "units", tmp_path / "nowhere", "--out", tmp_path / "o")
    assert "nowhere" in line
    assert "no such folder" in line


def test_an_output_folder_that_cannot_be_written_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("x")
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    out = tmp_path / "file" / "out"
    line = fails(capsys, "units", tmp_path, "--out", out)
    assert str(out) in line


def test_a_foreign_model_file_is_named(capsys, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    line = fails(capsys, "binarize", tmp_path, "--out", tmp_path / "o")
    assert "model.safetensors" in line


def test_a_truncated_program_is_named(capsys, tmp_path, program):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(program.read_bytes()[:5000])
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    assert "cut.safetensors" in fails(capsys, "run", cut, tmp_path / "a.wav")


@pytest.mark.parametrize("samples", [[], [0.1] * 100, [np.nan] * 16_000])
def test_audio_that_cannot_be_used_is_named(capsys, tmp_path, program, samples):
    path = tmp_path / "bad.wav"
    soundfile.write(path, np.array(samples), 16_000, subtype="FLOAT")
    assert "samples" in fails(capsys, "run", program, path)


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


def test_json_on_stdout_is_json_alone(capsys):
    main(["profile", "hubert-tiny", "--plan", "w1a1", "--seconds", "1", "--json", "-"])
    (record,) = json.loads(capsys.readouterr().out)
    wanted = {"name", "plan", "parameters", "storage_bytes", "macs", "flops", "bops", "estimate_ms"}
    assert wanted <= set(record)


def test_the_papers_table_chooses_its_models_itself(capsys):
    with pytest.raises(SystemExit) as end:
        main(["profile", "hubert-tiny", "--all"])
    assert end.value.code == 2
    assert "--all chooses the models itself" in capsys.readouterr().err


def test_doctor_finds_every_kernel_right(capsys):
    main(["doctor", "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert result["ok"]
    assert {"isa", "kernels"} <= set(result)


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
    main(["bench", str(program), "--seconds", "1", "--json", "-"])
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


def test_settings_of_several_flags_all_hold(capsys, tmp_path):
    args = ["--set", "n_units=1", "--set", "seed=2", "model.nope=3"]
    assert "'model.nope'" in fails(
        capsys, "pretrain", "recipes/hubert_tiny.py", "--out", tmp_path / "o", *args
    )
    assert "n_units=1" in fails(
        capsys, "pretrain", "recipes/hubert_tiny.py", "--out", tmp_path / "o", *args[:-1]
    )
    assert not (tmp_path / "o").exists()


def test_a_study_without_keywords_is_refused_before_anything_is_trained(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(30):
        soundfile.write(tmp_path / "in" / f"{i}.wav", np.zeros(16_000), 16_000)
    line = fails(capsys, "study", "--corpus", tmp_path / "in", "--out", tmp_path / "o")
    assert "`keyword`" in line
    assert not (tmp_path / "o").exists()


def test_binarizing_by_a_plan_that_quantizes_nothing_is_refused(capsys, tmp_path):
    line = fails(capsys, "binarize", "hubert-tiny", "--plan", "fp32", "--out", tmp_path / "o")
    assert "'fp32' quantizes nothing" in line
    assert not (tmp_path / "o").exists()


def test_a_preset_in_the_place_of_a_program_is_told_how_to_become_one(capsys, tmp_path):
    line = fails(capsys, "run", "hubert-tiny", tmp_path / "a.wav")
    assert "`earbit export hubert-tiny --plan w1a1" in line
    line = fails(capsys, "bench", "hubert-tiny")
    assert "`earbit bench hubert-tiny --plan w1a1`" in line
    assert "no such file" not in line


WRONG = {
    "hubert-tiny: a preset, and no --plan": ["bench", "hubert-tiny"],
    "unknown plan 'w1a3'": ["bench", "hubert-tiny", "--plan", "w1a3"],
    "mine.yaml: cannot be read": ["bench", "hubert-tiny", "--plan", "mine.yaml"],
    "'hubert-bose' is neither": ["bench", "hubert-bose", "--plan", "w1a1"],
    "none.safetensors: no such file": ["bench", "none.safetensors"],
    "no engine 'torhc'": ["bench", "hubert-tiny", "--plan", "w1a1", "--engines", "torhc"],
    "seconds=0.0;": ["bench", "hubert-tiny", "--plan", "w1a1", "--seconds", "1", "0"],
    "threads=0;": ["bench", "hubert-tiny", "--plan", "w1a1", "--threads", "0"],
    "runs=0;": ["bench", "hubert-tiny", "--plan", "w1a1", "--runs", "0"],
    "--set a=1 without --plan": ["bench", "none.safetensors", "--set", "a=1"],
    "x.txt: a program file ends in": ["export", "hubert-tiny", "--out", "x.txt"],
    "'hubert-nose' is neither": ["export", "hubert-nose", "--out", "x.safetensors"],
    "plan 'w1a4'": ["export", "hubert-tiny", "--plan", "w1a4", "--out", "x.safetensors"],
    "/dev/null: cannot write there": ["export", "hubert-tiny", "--out", "/dev/null/x.safetensors"],
}


def test_a_wrong_argument_of_bench_and_export_is_found_before_pytorch_is_imported(tmp_path):
    code = f"""
import sys
from earbit.cli.main import main
for args in {list(WRONG.values())}:
    try:
        main(args)
    except SystemExit as end:
        assert end.code == 2
assert not {{"torch", "lhotse", "sklearn"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    lines = done.stderr.splitlines()
    assert len(lines) == len(WRONG)
    for line, named in zip(lines, WRONG, strict=True):
        assert named in line
    assert not list(tmp_path.iterdir())


def test_a_program_is_not_written_over_a_folder(capsys, tmp_path):
    out = tmp_path / "x.safetensors"
    out.mkdir()
    assert f"{out}: a folder" in fails(capsys, "export", "hubert-tiny", "--out", out)


def test_an_interrupted_measurement_writes_what_is_finished(program, capsys, tmp_path, monkeypatch):
    from earbit.cost import bench_verb

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


def test_a_program_in_the_place_of_a_model_is_told_apart(capsys, tmp_path, program):
    for verb in (["profile", program], ["superb", program, "--out", tmp_path / "o"]):
        assert "exported program" in fails(capsys, *verb)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("args", "named"),
    [(["my-audio"], "--root my-audio"), (["synthetic", "--root", "x"], "--root x")],
)
def test_the_kind_and_the_folder_of_a_corpus_are_not_mixed_up(args, named, capsys, tmp_path):
    assert named in fails(capsys, "prepare", *args, "--out", tmp_path / "o")


def test_what_makes_features_worthless_is_said(capsys, tmp_path):
    out = str(tmp_path / "x.safetensors")
    main(["export", "hubert-tiny", "--out", out])
    captured = capsys.readouterr()
    assert "random weights" in captured.err
    assert "of bits" not in captured.out


def test_doctor_has_a_verdict_for_people(capsys):
    main(["doctor"])
    assert "kernels: all right" in capsys.readouterr().out
