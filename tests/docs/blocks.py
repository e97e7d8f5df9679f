"""Fenced blocks of the pages, by page, line and language, and commands of shell blocks."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^ *(`{3,}|~{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str = "page") -> list[Block]:
    """All fenced blocks of a page.  Raises AssertionError for one that does not end."""
    blocks, start, code = [], None, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if start is None:
            if fence:
                start, code = (number, *fence.groups()), []
        elif fence and fence[1] == start[1] and not fence[2].strip():
            blocks.append(Block(page, start[0], start[2].strip(), "\n".join(code) + "\n"))
            start = None
        else:
            code.append(line)
    assert start is None, f"{page}:{start[0]}: the block does not end"
    return blocks


BLOCKS = [
    block
    for path in PAGES
    for block in blocks_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
]


def in_language(*languages: str) -> list[Block]:
    found = [block for block in BLOCKS if block.language in languages]
    assert found, languages
    return found


def commands_of(code: str) -> list[list[str]]:
    """Words of each command of a shell block; comments and directives of SLURM are left out."""
    lines = code.replace("\\\n", " ").splitlines()
    words = (shlex.split(line, comments=True) for line in lines)
    return [command for command in words if command]
