"""Pages of the site that are generated, its navigation and its links."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml
from blocks import ROOT, blocks_of, commands_of
from test_shell import check_earbit

import earbit
from earbit.cli.arguments import arguments_of
from earbit.cli.commands import COMMANDS

sys.path.insert(0, str(ROOT / "website"))

from commands import commands_page  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
OUTSIDE = {"architecture.md", "changelog.md", "commands.md", "contributing.md"}
"""Pages of the site that are not files in `docs`."""
DOCS = {path.name for path in (ROOT / "docs").glob("*.md")}


def pages_in(nav):
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages_in(value)


def test_the_navigation_has_every_page_once():
    assert sorted(pages_in(CONFIG["nav"])) == sorted(DOCS | OUTSIDE)


def test_every_command_has_a_section_with_every_argument():
    sections = re.split(r"^## earbit ", commands_page(), flags=re.MULTILINE)[1:]
    by_name = {section.partition("\n")[0]: section for section in sections}
    assert list(by_name) == list(COMMANDS)
    for name, section in by_name.items():
        defined = re.findall(r"^`([^`]+)`\n:   \S", section, re.MULTILINE)
        assert defined == [argument.usage for argument in arguments_of(COMMANDS[name])]


def test_examples_of_the_page_of_commands_are_accepted():
    blocks = blocks_of(commands_page())
    assert len(blocks) >= len(COMMANDS) - 1
    for block in blocks:
        for command in commands_of(block.code):
            check_earbit(command[1:])


def test_the_python_page_has_every_public_name_once():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: earbit\.(\w+)$", page, re.MULTILINE)
    assert sorted(names) == sorted(set(earbit.__all__) - {"__version__"})


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="`make docs` installs mkdocs")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="earbit-{name.replace(" ", "-")}"' in commands for name in COMMANDS)
    python = (tmp_path / "python.html").read_text(encoding="utf-8")
    assert "float32 (n_samples,)" in python
    assert (tmp_path / "source/csrc/capi/earbit.h").is_file()
