"""What the command line says of itself, and of a command that is none."""

import inspect
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from one_line import fails

from earbit.bench.peers.catalogue import PEERS
from earbit.cli.arguments import arguments_of
from earbit.cli.commands import COMMANDS
from earbit.cli.main import main
from earbit.cli.options import SAME_MEANING
from earbit.cli.parse import parse
from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS


def test_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "earbit", "--help"], capture_output=True, text=True, check=True
    )
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_help_marks_what_needs_the_training_install(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    training, runtime = capsys.readouterr().out.split("commands that need no extra:")
    assert "commands that need the extra `train`:\n  study " in training
    assert [name for name in COMMANDS if f"\n  {name} " in runtime] == ["run", "bench", "doctor"]
    assert "This command needs the extra `train`." in help_of("export", capsys)
    bench = " ".join(help_of("bench", capsys).split())
    assert "needs the extra" not in " ".join(help_of("run", capsys).split())
    marked = {one.flag for one in arguments_of(COMMANDS["bench"]) if one.needs_train}
    assert marked == {"--plan", "--set", "--seed"}
    assert bench.count("(needs the extra `train`)") == len(marked)


def test_the_version_is_said(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"earbit {metadata.version('earbit')}\n"


@pytest.mark.parametrize(
    "args", [["bench", "x", "--thread", "2"], ["bench", "x", "--threads", "two"], ["bench"]]
)
def test_a_mistake_points_to_the_help_of_its_own_command(args, capsys):
    line = fails(capsys, *args)
    assert "earbit bench --help" in line
    assert line.count("--help") == 1


def help_of(verb, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([verb, "--help"])
    assert exit_info.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_explains_itself_and_each_of_its_arguments(verb, capsys):
    text = help_of(verb, capsys)
    assert "--" in text
    assert not re.findall(r"(?:None|False|\(\)|: )\)", text)  # no default is a word of Python
    words = " ".join(text.split())
    for name, parameter in inspect.signature(COMMANDS[verb], eval_str=True).parameters.items():
        option, *_ = parameter.annotation.__metadata__
        assert len(option.help) > 5, parameter
        assert option.help in words, parameter
        assert option.metavar in text or f"--{name.replace('_', '-')}" in text, parameter


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
        (["run"], "missing"),
        (["doctor", "foo"], "'foo'"),
        (["run", "-1", "a.wav", "--threads", "-x"], "--threads"),
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
        (["bench", "x", "--runs", "x"], "--runs 'x'; allowed: whole numbers"),
        (["bench", "x", "--threads", "2", "two"], "--threads 'two'; allowed: whole numbers"),
        (["profile", "--seconds", "abc"], "--seconds 'abc'; allowed: numbers"),
        (["bench", "x", "--threads=two"], "--threads 'two'; allowed: whole numbers"),
        (["bench", "x", "--thread", "2"], "unknown option --thread; did you mean --threads"),
        (["bench", "x", "--thread=2"], "unknown option --thread; did you mean --threads"),
        (["bench", "--xyz", "x"], "unknown option --xyz"),
        (["doctor", "foo"], "unexpected argument 'foo'"),
        (["profile", "--all=3"], "--all takes no value"),
        (["profile", "--rest-bits", "8"], "--rest-bits '8'; allowed: 32, 16"),
        (["study", "--encoders"], "--encoders without a value"),
        (["study", "--scale", "huge"], "--scale 'huge'; allowed: tiny, small, full"),
        (["study", "--seed"], "--seed without a value"),
        (["export"], "missing: MODEL, --out FILE.safetensors|DIR"),
        (["run", "x"], "missing: AUDIO ..."),
        (["export", "conformer-s"], "missing: --out FILE.safetensors|DIR"),
    ],
)
def test_a_mistake_is_said_in_words_that_are_not_of_the_parser(args, said, capsys):
    assert fails(capsys, *args) == f"earbit: {said}; see earbit {args[0]} --help"


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["superb", "m", "--corpus", "x"], "unknown option --corpus; the option is --data here"),
        (["quantize", "m", "--data=x"], "unknown option --data; the option is --corpus here"),
        (["prepare", "folder", "--corpus", "x"], "unknown option --corpus; the option is --root"),
        (["units", "--corpus", "x"], "unknown option --corpus; it is CORPUS here"),
        (["run", "--model", "x"], "unknown option --model; it is PROGRAM here"),
        (["study", "--models", "x"], "unknown option --models; the option is --encoders here"),
        (
            ["pretrain", "hubert-tiny", "--data", "x"],
            "unknown option --data; the option is --corpus here",
        ),
        (
            ["pretrain", "hubert-tiny", "--n-steps=5"],
            "unknown option --n-steps; it is a field of the configuration: "
            "--set train.optimiser.n_steps=5",
        ),
        (["doctor", "--corpus", "x"], "unknown option --corpus"),
    ],
)
def test_an_option_of_another_command_is_answered_with_the_one_of_this_command(args, hint, capsys):
    assert fails(capsys, *args).startswith(f"earbit: {hint}")


def test_each_group_of_names_has_two_that_commands_take():
    arguments = [one for command in COMMANDS.values() for one in arguments_of(command)]
    flags = {one.flag for one in arguments}
    texts = [str(command.__doc__) for command in COMMANDS.values()]
    texts += [one.help for one in arguments if one.name == "set"]
    for group in SAME_MEANING:
        fields = {name for name in group if any(f"{name}=" in text for text in texts)}
        assert len(flags & {*group} | fields) > 1, group


def test_a_file_whose_name_looks_like_an_option_is_named_with_its_folder(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    unknown = "earbit: unknown option -dash.wav"
    assert "unknown option --xx" in fails(capsys, "run", "prog", "--" + "x" * 5000)
    args = ["run", "prog", "-dash.wav", "b.wav"]
    assert fails(capsys, *args) == f"{unknown}; see earbit run --help"
    Path("-dash.wav").touch()
    assert fails(capsys, *args) == (
        f"{unknown}; if the file of this name is meant, write ./-dash.wav; see earbit run --help"
    )
    assert given("run", "prog", "./-dash.wav")["audio"] == (Path("-dash.wav"),)


def test_a_mistyped_command_is_guessed(capsys):
    assert fails(capsys, "runn") == "earbit: no command 'runn'; did you mean run; see earbit --help"


def test_a_mistyped_second_word_of_a_command_is_guessed_unless_it_is_a_file(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert fails(capsys, "superb", "reprot", "a") == (
        "earbit: no command 'superb reprot'; did you mean superb report"
    )
    Path("reprot").touch()
    assert given("superb", "reprot", "--out", "a")["model"] == "reprot"
    assert given("superb", "hubert-tiny", "--out", "a")["model"] == "hubert-tiny"


def given(*args):
    """The arguments that a command's function is called with."""
    return parse(COMMANDS, args).keywords


def test_options_and_positional_arguments_can_be_mixed():
    expected = {"file": Path("p"), "audio": (Path("a.wav"), Path("b.wav")), "threads": 2}
    for args in (
        ["p", "a.wav", "b.wav", "--threads", "2"],
        ["--threads", "2", "p", "a.wav", "b.wav"],
        ["p", "--threads", "2", "a.wav", "b.wav"],
        ["p", "a.wav", "--threads=2", "b.wav"],
    ):
        assert given("run", *args) == expected
    assert given("run", "p", "--", "-x.wav")["audio"] == (Path("-x.wav"),)


def test_an_option_of_several_values_takes_them_at_once_or_one_by_one():
    assert given("bench", "x", "--threads", "1", "2")["threads"] == (1, 2)
    assert given("bench", "x", "--threads", "1", "--threads", "2")["threads"] == (1, 2)
    args = ["pretrain", "r", "--out", "o", "--set", "a=1", "b=2", "--set", "c=3"]
    assert given(*args)["set"] == ("a=1", "b=2", "c=3")


def test_values_have_the_types_of_the_signature():
    values = given("profile", "--rest-bits", "16", "--seconds", "2.5", "--all", "--json", "-")
    assert values == {"rest_bits": 16, "seconds": 2.5, "all": True, "json": Path("-")}
    assert type(values["rest_bits"]) is int
    assert given("profile", "hubert-tiny") == {"models": ("hubert-tiny",)}
    assert given("profile") == {}


@pytest.mark.parametrize(("old", "new"), [("binarize", "quantize"), ("errors", "propagation")])
def test_the_old_name_of_a_command_says_the_new_one(old, new, capsys):
    line = fails(capsys, old, "hubert-tiny", "--out", "x")
    assert line == f"earbit: {old}: this command is now called {new}; see earbit --help"


@pytest.mark.parametrize("verb", COMMANDS)
def test_examples_stand_on_lines_of_their_own(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.strip() for line in help_of(verb, capsys).splitlines()]
    written = [line.strip() for line in COMMANDS[verb].__doc__.splitlines()]
    examples = [line for line in written if line.startswith("earbit ")]
    assert set(examples) <= set(lines)


@pytest.mark.parametrize("verb", COMMANDS)
def test_names_in_a_help_are_not_broken_at_the_end_of_a_line(verb, capsys, monkeypatch):
    for columns in range(50, 90, 4):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert not re.search(r"\w-$", help_of(verb, capsys), re.MULTILINE)


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


def test_a_field_of_the_recipe_that_is_given_without_set_is_answered_with_it(capsys):
    line = fails(capsys, "pretrain", "hubert-tiny", "corpus=notes")
    assert "configuration: --set corpus=notes;" in line
