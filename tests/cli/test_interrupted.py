"""Ctrl-C: exit status 130, and one line that says of what is kept what is true."""

import signal
import subprocess
import sys

import pytest

from earbit.cli.main import main
from earbit.errors import Interrupted, Terminated


def end_by_hand(*args, **named):
    raise KeyboardInterrupt


def interrupted(capsys, *args) -> str:
    """What an interrupted command says last."""
    with pytest.raises(SystemExit) as end:
        main([str(arg) for arg in args])
    assert end.value.code == 130
    return capsys.readouterr().err.splitlines()[-1]


def test_where_nothing_is_kept_nothing_is_said_of_it(capsys, monkeypatch, tmp_path, program):
    monkeypatch.setattr("earbit.run.read_with_warning", end_by_hand)
    monkeypatch.setattr("earbit.bench.verb.bench", end_by_hand)
    monkeypatch.setattr("earbit.export.verb.export_model", end_by_hand)
    out = tmp_path / "x.safetensors"
    for args in (
        ["run", program, tmp_path / "a.wav", "--out", tmp_path / "f.npz"],
        ["bench", program],
        ["export", "hubert-tiny", "--out", out],
    ):
        assert interrupted(capsys, *args) == "earbit: interrupted"
    assert not list(tmp_path.iterdir())


def test_work_that_goes_on_by_the_same_command_says_so_once_it_has_begun(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr("earbit.study.run.run_study", end_by_hand)
    monkeypatch.setattr("earbit.pretrain.verb.pretrain", end_by_hand)
    monkeypatch.setattr("earbit.quantize.verb.quantize", end_by_hand)
    out = tmp_path / "out"
    commands = [["study"], ["pretrain", "hubert-tiny"], ["quantize", "hubert-tiny"]]
    for args in commands:
        assert interrupted(capsys, *args, "--out", out) == "earbit: interrupted"
    out.mkdir()
    (out / "config.json").write_text("{}")
    for args in commands:
        line = interrupted(capsys, *args, "--out", out)
        assert line == f"earbit: interrupted; the same command resumes with what is in {out}"


def test_training_that_ends_by_hand_names_the_step_it_resumes_from(capsys, monkeypatch, tmp_path):
    def ends(*args, **named):
        raise Interrupted("pre-training after step 37 of 400")

    monkeypatch.setattr("earbit.pretrain.verb.pretrain", ends)
    (tmp_path / "config.json").write_text("{}")
    assert interrupted(capsys, "pretrain", "hubert-tiny", "--out", tmp_path) == (
        "earbit: interrupted; the same command resumes pre-training after step 37 of 400 with what "
        f"is in {tmp_path}"
    )


@pytest.mark.parametrize(
    ("command", "work"),
    [
        (["pretrain", "hubert-tiny"], "earbit.pretrain.verb.pretrain"),
        (["quantize", "hubert-tiny"], "earbit.quantize.verb.quantize"),
        (["study"], "earbit.study.run.run_study"),
    ],
)
def test_training_that_sigterm_ends_has_its_status(capsys, monkeypatch, tmp_path, command, work):
    def ends(*args, **named):
        raise Terminated("training after step 37 of 400")

    monkeypatch.setattr(work, ends)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SystemExit) as end:
        main([*command, "--out", str(tmp_path)])
    assert end.value.code == 143
    assert capsys.readouterr().err == (
        "earbit: ended by SIGTERM; the same command resumes training after step 37 of 400 with "
        f"what is in {tmp_path}\n"
    )


def test_sigterm_outside_of_training_steps_ends_with_its_status_and_one_line(
    capsys, monkeypatch, tmp_path
):
    def ends(*args, **named):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("earbit.pretrain.verb.pretrain", ends)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SystemExit) as end:
        main(["pretrain", "hubert-tiny", "--out", str(tmp_path)])
    assert end.value.code == 143
    assert capsys.readouterr().err == (
        f"earbit: ended by SIGTERM; the same command resumes with what is in {tmp_path}\n"
    )
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    "module", ["earbit.cli.environment", "argparse", "earbit.cli.parse", "earbit.cli.running"]
)
def test_an_end_by_hand_while_the_command_line_is_imported_is_one_line(module):
    code = f"""
import sys
from earbit.cli.main import main
class EndsByHand:
    def find_spec(name, *others):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, EndsByHand)
main(["doctor"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "earbit: interrupted\n")
