"""Every fenced block of README.md and docs is of a known language, and valid in it."""

import json
import subprocess

import pytest
from blocks import BLOCKS, PAGES, ROOT, blocks_of, in_language

from earbit.load import random_model
from earbit.presets import preset
from earbit.quantize.student import plan_for
from earbit.study.shapes import shapes_of

TEXT = "text"
"""Output and formulas, which are not run."""
RUN_ELSEWHERE = {"python", "sh"}
LANGUAGES = {TEXT, "c", "json", "yaml"} | RUN_ELSEWHERE

BEFORE = """#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "earbit.h"

int page(const float *samples, int64_t n_samples) {
"""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_the_language_of_a_block_is_known(block):
    assert block.language in LANGUAGES, (
        f"{block.place}: language {block.language!r}; allowed: {', '.join(sorted(LANGUAGES))}; "
        "output is `text`"
    )


def test_blocks_are_found_with_their_line_and_language():
    page = "# A\n\n```sh\nls  # ```\n```\n\n  ~~~\nx\n  ~~~\n"
    assert [(b.line, b.language, b.code) for b in blocks_of(page)] == [
        (3, "sh", "ls  # ```\n"),
        (7, "", "x\n"),
    ]
    with pytest.raises(AssertionError, match="page:1: the block does not end"):
        blocks_of("```sh\nls\n")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_block_is_made_by_indentation_which_has_no_language(path):
    inside = {
        number
        for block in blocks_of(path.read_text(encoding="utf-8"))
        for number in range(block.line, block.line + block.code.count("\n") + 1)
    }
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        begins = number > 1 and not lines[number - 2].strip() and line.startswith("    ")
        assert not begins or number in inside, f"{path.name}:{number}: {line}"


@pytest.mark.parametrize("block", in_language("json"), ids=lambda block: block.place)
def test_every_line_of_json_is_an_object(block):
    assert all(isinstance(json.loads(line), dict) for line in block.code.splitlines())


@pytest.mark.parametrize("block", in_language("yaml"), ids=lambda block: block.place)
def test_yaml_is_a_plan_for_a_hubert_or_the_shape_of_an_encoder(block, tmp_path):
    (tmp_path / "mine.yaml").write_text(block.code)
    if "encoder:" in block.code:
        _, shapes = shapes_of([str(tmp_path / "mine.yaml")])
        assert random_model(shapes["mine"], seed=0)
        return
    model = random_model(preset("hubert-tiny"), seed=0)
    assert plan_for("hubert-tiny", model, str(tmp_path / "mine.yaml")).rules


def test_c_compiles_against_the_header(tmp_path):
    pages = {block.page for block in in_language("c")}
    for page in pages:
        code = "".join(block.code for block in in_language("c") if block.page == page)
        source = tmp_path / "page.c"
        source.write_text(f"{BEFORE}{code}return 0;\n}}\n")
        command = ["gcc", "-fsyntax-only", "-Wall", "-Werror", f"-I{ROOT / 'csrc/capi'}", source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page}: {done.stderr}"
