"""What the command line says of itself, and of a command that is none."""

import inspect
import json
import re
import subprocess
import sys
from importlib import metadata

import pytest
from one_line import fails

from earbit.bench.peers.catalogue import PEERS
from earbit.cli.main import main
from earbit.cli.verbs import VERBS
from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS


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


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bench", "x", "--runs", "x"], "--runs 'x': whole numbers are allowed"),
        (["bench", "x", "--threads", "2", "two"], "--threads 'two': whole numbers are allowed"),
        (["profile", "--seconds", "abc"], "--seconds 'abc': numbers are allowed"),
        (
            ["bench", "x", "--thread", "2"],
            "Unrecognized options: --thread, 2; did you mean --threads",
        ),
        (["study", "--scale", "huge"], "--scale 'huge': allowed are tiny"),
        (["study", "--seed"], "--seed without a value"),
        (["export"], "Missing: MODEL, --out FILE.safetensors"),
        (["export", "conformer-s"], "Missing: --out FILE.safetensors"),
    ],
)
def test_a_mistake_is_said_in_words_that_are_not_of_the_parser(args, said, capsys):
    assert fails(capsys, *args) == f"earbit: {said}; see earbit {args[0]} --help"


def test_a_mistyped_verb_is_guessed(capsys):
    assert fails(capsys, "runn") == "earbit: no verb 'runn'; did you mean run; see earbit --help"


@pytest.mark.parametrize(("old", "new"), [("binarize", "quantize"), ("errors", "propagation")])
def test_the_old_name_of_a_verb_says_the_new_one(old, new, capsys):
    line = fails(capsys, old, "hubert-tiny", "--out", "x")
    assert line == f"earbit: {old}: this verb is called {new} now; see earbit --help"


@pytest.mark.parametrize("verb", VERBS)
def test_examples_stand_on_lines_of_their_own(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.strip() for line in help_of(verb, capsys).splitlines()]
    written = [line.strip() for line in VERBS[verb].__doc__.splitlines()]
    examples = [line for line in written if line.startswith("earbit ")]
    assert set(examples) <= set(lines)


def test_several_processes_are_refused_instead_of_each_training_alone(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    line = fails(capsys, "pretrain", "recipes/hubert_tiny.py", "--out", "x")
    assert "WORLD_SIZE=2" in line


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


def test_doctor_has_a_verdict_for_people(capsys):
    main(["doctor"])
    assert "kernels: all right" in capsys.readouterr().out
