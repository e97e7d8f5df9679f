"""Page of all commands, generated from the argument tables of `earbit.cli`."""

from __future__ import annotations

import inspect
import re

from earbit.cli.arguments import NEEDS_TRAIN, Argument, arguments_of
from earbit.cli.commands import COMMANDS
from earbit.cli.help import RUNTIME

INTRODUCTION = """# Commands

This page has the text of `earbit COMMAND --help` for each command.

- Exit status: 0 on success, 2 for invalid input (one line on standard error), 130 after Ctrl-C, \
143 after SIGTERM, and 1 for a bug in earbit.
- An argument with `...` takes one or more values.
- `--json FILE` writes the result as JSON, and `--json -` prints only the JSON.
"""
SPECIAL = re.compile(r"([\\*_<>\[\]#|])")
PAGE_OF_DOCS = re.compile(r"docs/([a-z-]+\.md)")


def commands_page() -> str:
    """Markdown with a section for each command: description, examples and arguments."""
    return "\n".join([INTRODUCTION, *(_section(name) for name in COMMANDS)])


def _section(name: str) -> str:
    command = COMMANDS[name]
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    arguments = arguments_of(command)
    if name not in RUNTIME:
        paragraphs.append(f"This command {NEEDS_TRAIN}.")
    parts = [f"## earbit {name}", *map(_paragraph, paragraphs), *map(_definition, arguments)]
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    if text.lstrip().startswith("earbit "):
        return f"```sh\n{inspect.cleandoc(text)}\n```"
    return _prose(text)


def _definition(argument: Argument) -> str:
    default = argument.default
    if argument.is_required:
        note = "Required."
    elif default is None or default is False or default == ():
        note = ""
    else:
        values = default if argument.is_many else (default,)
        note = f"Default: `{' '.join(map(str, values))}`."
    if argument.needs_train:
        note += f" It {NEEDS_TRAIN}."
    return f"`{argument.usage}`\n:   {' '.join(filter(None, (_prose(argument.help), note)))}"


def _prose(text: str) -> str:
    """Plain text as Markdown: code stays, other special characters are escaped, pages are links."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [PAGE_OF_DOCS.sub(r"[\1](\1)", SPECIAL.sub(r"\\\1", part)) for part in parts[::2]]
    return "`".join(parts)
