"""Every command of the pages is one that exists, with arguments that it accepts."""

import re
import shlex
import shutil
import subprocess
import tomllib

import pytest
from blocks import PAGES, ROOT, blocks_of, commands_of, in_language

from earbit.cli.arguments import arguments_of
from earbit.cli.commands import COMMANDS
from earbit.cli.parse import parse
from earbit.config import override
from earbit.presets import PRESETS, preset
from earbit.pretrain.schedules import recipe_with
from earbit.quantize.plan import plan_named

SHELL = in_language("sh")
SYSTEM = {"apt", "arecord", "cmake", "export", "hf", "source"}
"""Programs of others whose arguments are not checked."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OF_PRESET = ("export", "profile", "propagation")
"""Commands whose --set changes a preset."""


def check_earbit(args):
    """Parses the arguments of `earbit` as the command line does, and checks names and settings."""
    values = parse(COMMANDS, args).keywords
    plans = values.get("plan") or ()
    for plan in [plans] if isinstance(plans, str) else plans:
        if not plan.endswith((".yaml", ".json")):
            plan_named(plan)
    settings = values.get("set", ())
    if args[0] == "pretrain" and values["recipe"] in PRESETS:
        recipe_with(values["recipe"], settings, schedule=values.get("schedule"), n_ranks=1)
    if args[0] in OF_PRESET:
        models = {values.get("model"), *values.get("models", ())}
        for model in PRESETS.keys() & models:
            override(preset(model), settings)


def check_make(args):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in args if "=" not in word} <= set(targets)


def check_pip(args):
    assert args[0] == "install"
    for word in args[1:]:
        if extras := re.fullmatch(r"\.\[(.*)\]", word):
            assert set(extras[1].split(",")) <= set(EXTRAS)
        elif not word.startswith("-"):
            assert (ROOT / word).exists(), word


def check_file(args):
    """A script or source file of the repository."""
    files = [word for word in args if word.endswith((".py", ".c"))]
    assert files
    assert all((ROOT / word).is_file() for word in files)


CHECKS = {
    "cc": check_file,
    "earbit": check_earbit,
    "make": check_make,
    "pip": check_pip,
    "python": check_file,
}


def check(command):
    if command[0].startswith("./"):
        compiled = [block.code for block in SHELL if f"-o {command[0][2:]}" in block.code]
        assert compiled, f"{command[0]} is never compiled"
        return
    if command[:3] == ["python3", "-m", "venv"]:
        return
    if "-m" in command:  # torchrun, also under srun
        assert "torchrun" in command[:2]
        module = command[command.index("-m") + 1 :]
        assert module[0] == "earbit"
        check_earbit(module[1:])
        return
    name = command[0].removeprefix(".venv/bin/")
    if name in CHECKS:
        CHECKS[name](command[1:])
        return
    assert name in SYSTEM or re.match(r"[A-Z_]+=", name), f"{name}: a program that is not known"


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_exist_and_accept_their_arguments(block):
    for command in commands_of(block.code):
        check(command)


@pytest.mark.parametrize(
    "wrong",
    [
        "earbit nonsense",
        "earbit export hubert-tiny",
        "earbit export hubert-tiny --out x --nonsense",
        "earbit export hubert-tiny --plan w3a3 --out x",
        "earbit pretrain hubert-tiny --set model.nonsense=1 --out x",
        "make nonsense",
        "pip install '.[nonsense]'",
        ".venv/bin/python benchmarks/nonsense.py",
        "nonsense",
    ],
)
def test_a_wrong_command_is_found(wrong):
    with pytest.raises((AssertionError, ValueError)):
        check(shlex.split(wrong))


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_shell_blocks_are_shell():
    for block in SHELL:
        done = subprocess.run(
            ["bash", "-n"], input=block.code, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.place}: {done.stderr}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_within_a_sentence_exist_and_have_their_options(path):
    text = path.read_text(encoding="utf-8")
    for block in blocks_of(text):
        text = text.replace(block.code, "")
    for code in re.findall(r"`(earbit [a-z][^`]*)`", text):
        words = code.split()[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert name in COMMANDS, code
        flags = {argument.flag for argument in arguments_of(COMMANDS[name])} | {"--help"}
        given = re.findall(r"(?<!\S)--[a-z-]+", code)
        assert set(given) <= flags, code
