"""Pages list the presets, plans, tasks and commands that exist: all of them, and no others."""

import re
from pathlib import Path

import pytest

from earbit.cli.commands import COMMANDS
from earbit.presets import PRESETS
from earbit.quantize.plan import PLANS
from earbit.superb.tasks import TASKS

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"`([a-z0-9-]+)`")


def names_in(line):
    return NAME.findall(line)


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_links_lead_to_files_of_the_repository(path):
    links = re.findall(r"\]\((?![a-z]+:)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def first_cells(page, header):
    """The first cell of each row of the table of a page whose header begins with `header`."""
    _, _, rest = (ROOT / page).read_text().partition(f"\n{header}")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    assert rows
    return [row.split("|")[1] for row in rows]


def test_the_page_of_quantization_has_a_row_for_every_plan():
    cells = first_cells("docs/quantization.md", "| plan |")
    assert sorted(name for cell in cells for name in names_in(cell)) == sorted(PLANS)


def test_the_page_of_presets_has_a_row_for_every_preset():
    cells = first_cells("docs/presets.md", "| preset |")
    assert sorted(name for cell in cells for name in names_in(cell)) == sorted(PRESETS)


def test_the_page_of_superb_has_a_row_for_every_task():
    cells = first_cells("docs/superb.md", "| task |")
    assert sorted(name for cell in cells for name in names_in(cell)) == sorted(TASKS)


def test_the_readme_has_a_row_for_every_command():
    rows = "\n".join(first_cells("README.md", "| command | purpose |"))
    assert {name.split()[0] for name in COMMANDS} == set(re.findall(r"`earbit ([a-z]+)", rows))
