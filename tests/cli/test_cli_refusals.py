"""The command line: bad input gives one clear line and exit status 2, and loses nothing."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from one_line import fails

from earbit.cli.main import main


def test_a_place_where_no_json_can_be_written_is_refused_before_any_work(capsys, tmp_path):
    args = ["bench", "hubert-tiny", "--plan", "w1a1", "--json"]
    assert f"{tmp_path}: a folder" in fails(capsys, *args, tmp_path)
    (tmp_path / "file").write_text("x")
    assert "cannot write there" in fails(capsys, *args, tmp_path / "file" / "x.json")


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
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * np.sin(np.arange(16_000)), 16_000)
    out = tmp_path / "file" / "out"
    line = fails(capsys, "units", tmp_path, "--out", out)
    assert str(out) in line


def test_a_foreign_model_file_is_named(capsys, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    line = fails(capsys, "quantize", tmp_path, "--out", tmp_path / "o")
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
    report = tmp_path / "errors.json"
    with pytest.raises(SystemExit) as end:
        main(["run", str(program), str(path), "--json", str(report)])
    assert end.value.code == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("earbit: no usable audio file")
    assert "samples" in line
    (entry,) = json.loads(captured.out)
    assert entry["audio"] == str(path)
    assert "samples" in entry["error"]
    assert json.loads(report.read_text()) == [entry]


def test_settings_of_several_flags_all_hold(capsys, tmp_path):
    args = ["--set", "n_units=1", "--set", "seed=2", "model.nope=3"]
    assert "'model.nope'" in fails(
        capsys, "pretrain", "recipes/hubert_tiny.py", "--out", tmp_path / "o", *args
    )
    assert "n_units=1" in fails(
        capsys, "pretrain", "recipes/hubert_tiny.py", "--out", tmp_path / "o", *args[:-1]
    )
    assert not (tmp_path / "o").exists()


def test_a_study_of_an_unreadable_corpus_is_refused_before_anything_is_trained(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(b"no audio")
    line = fails(capsys, "study", "--corpus", tmp_path / "in", "--out", tmp_path / "o")
    assert "no usable audio in it" in line
    assert not (tmp_path / "o").exists()


def test_quantizing_by_a_plan_that_quantizes_nothing_is_refused(capsys, tmp_path):
    line = fails(capsys, "quantize", "hubert-tiny", "--plan", "fp32", "--out", tmp_path / "o")
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


def refused_before_pytorch(wrong, folder):
    """Runs each command in one process; its error must have the text that is its key."""
    code = f"""
import sys
from earbit.cli.main import main
for args in {list(wrong.values())}:
    try:
        main(args)
    except SystemExit as end:
        assert end.code == 2
assert not {{"torch", "lhotse", "sklearn"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    lines = done.stderr.splitlines()
    assert len(lines) == len(wrong)
    for line, named in zip(lines, wrong, strict=True):
        assert named in line
    assert not list(folder.iterdir())


def test_a_wrong_argument_of_bench_and_export_is_found_before_pytorch_is_imported(tmp_path):
    refused_before_pytorch(WRONG, tmp_path)


WRONG_OF_MODELS = {
    "unknown preset 'hubert-bose'": ["pretrain", "hubert-bose", "--out", "o"],
    "mine.py: recipe not found": ["pretrain", "mine.py", "--out", "o"],
    "nowhere: no such folder": ["pretrain", "hubert-tiny", "--set", "corpus=nowhere", "--out", "o"],
    "'hubert-nose' is neither": ["quantize", "hubert-nose", "--out", "o"],
    "unknown plan 'w1a4'": ["quantize", "hubert-tiny", "--plan", "w1a4", "--out", "o"],
    "no-corpus: no such folder": ["quantize", "hubert-tiny", "--corpus", "no-corpus", "--out", "o"],
    "unknown task 'kz'": ["superb", "hubert-tiny", "--task", "kz", "--out", "o"],
    "no-data: no such folder": ["superb", "hubert-tiny", "--data", "no-data", "--out", "o"],
    "asr-data: no such folder": [
        "superb", "fbank", "--task", "asr", "--data", "asr=asr-data", "--out", "o",
    ],
    "no-features: no such folder": ["superb", "features:no-features", "--out", "o"],
    "'conformer-x' is neither": ["superb", "conformer-x", "--out", "o"],
    "--cache and --threads with --finetune: for frozen features only": [
        "superb", "hubert-tiny", "--finetune", "--cache", "fp16", "--threads", "2", "--out", "o",
    ],
    "--beam and --lm-weights with --finetune: for frozen features only": [
        "superb", "hubert-tiny", "--finetune", "--beam", "5", "--lm-weights", "1", "0",
        "--out", "o",
    ],
    "--threads 2 with hubert-tiny, which is no program": [
        "superb", "hubert-tiny", "--threads", "2", "--out", "o",
    ],
    "unknown task 'all'": [
        "choose", "hubert-tiny", "--corpus", "synthetic", "--budget-mb", "1", "--task", "all",
    ],
    "'conformer-y' is neither": ["propagation", "conformer-y", "--noise"],
    "unknown plan 'w1a5'": ["propagation", "hubert-tiny", "--plan", "w1a5", "--noise"],
    "'teacher' is neither": ["propagation", "hubert-tiny", "--teacher", "teacher"],
    "clips: no such folder": ["propagation", "hubert-tiny", "--corpus", "clips"],
    "'conformer-z' is neither": ["profile", "conformer-z"],
    "'conformer-q' is neither": [
        "choose", "conformer-q", "--corpus", "synthetic", "--budget-ms", "9",
    ],
    "nothing-there: no such folder": [
        "choose", "hubert-tiny", "--corpus", "nothing-there", "--budget-ms", "9",
    ],
    "no budget; give --budget-ms": ["choose", "hubert-tiny", "--corpus", "synthetic"],
    "unknown plan 'w1a6'": ["profile", "hubert-tiny", "--plan", "w1a6"],
    "unknown preset 'hubert-huge'": ["study", "--encoders", "hubert-huge"],
    "my-audio: no such folder": ["study", "--corpus", "my-audio"],
    "audio: no such folder": ["units", "audio", "--out", "o"],
    "root: no such folder": ["prepare", "folder", "--root", "root", "--out", "o"],
}  # fmt: skip


def test_a_wrong_name_in_training_and_evaluation_is_found_before_pytorch_is_imported(tmp_path):
    refused_before_pytorch(WRONG_OF_MODELS, tmp_path)


def test_a_program_is_not_written_over_a_folder(capsys, tmp_path):
    out = tmp_path / "x.safetensors"
    out.mkdir()
    assert f"{out}: a folder" in fails(capsys, "export", "hubert-tiny", "--out", out)


def test_a_program_in_the_place_of_a_model_is_told_apart(capsys, program):
    assert "exported program" in fails(capsys, "profile", program)


def test_a_program_is_neither_exported_again_nor_measured_under_a_plan(capsys, tmp_path, program):
    line = fails(capsys, "bench", program, "--plan", "w1a1")
    assert line.endswith("already a program; leave out --plan")
    out = tmp_path / "x.safetensors"
    for plan in ([], ["--plan", "w1a1"]):
        line = fails(capsys, "export", program, "--out", out, *plan)
        assert f"already a program; `earbit run {program} AUDIO`" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "named"),
    [(["my-audio"], "--root my-audio"), (["synthetic", "--root", "x"], "--root x")],
)
def test_the_kind_and_the_folder_of_a_corpus_are_not_mixed_up(args, named, capsys, tmp_path):
    assert named in fails(capsys, "prepare", *args, "--out", tmp_path / "o")


def test_json_never_replaces_a_file_that_is_not_json(capsys, tmp_path):
    plan = tmp_path / "mine.yaml"
    plan.write_text("attention: w1a1")
    line = fails(capsys, "profile", "hubert-tiny", "--json", plan)
    assert "mine.yaml: there is a file already" in line
    assert plan.read_text() == "attention: w1a1"
