"""The documents name every op, attribute and kernel that there is, and none that there is not."""

import re

from small_programs import small_programs
from test_fuzz import known_ops

from earbit import _core
from native_build import ROOT

CSRC = ROOT / "csrc"
KERNELS = CSRC / "kernels"
FORMAT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")


def rows(document, first_column):
    """The rows below the head of one table of a document, as lists of cells."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    (table,) = (t for t in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
                if t.startswith(f"| {first_column} |"))  # fmt: skip
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def names(cell):
    return re.findall(r"`(\w+)`", cell)


def test_the_format_names_every_op_that_the_loader_knows_once():
    documented = [name for cells in rows("format.md", "op") for name in names(cells[0])]
    assert sorted(documented) == sorted(known_ops())


def test_an_op_has_the_name_of_its_file_and_all_are_listed_once_with_what_they_compute():
    listed = [name for name, _ in _core.ops()]
    assert listed == sorted(known_ops())
    assert all(text and not text.endswith(".") for _, text in _core.ops())
    files = {path.stem: path.read_text(encoding="utf-8") for path in (CSRC / "ops").glob("*.cc")}
    assert sorted(files) == listed
    for op, text in files.items():
        assert re.match(rf"// {op}\b", text), f"{op}.cc begins with another name"
        assert re.findall(r"std::unique_ptr<Op> make_(\w+)\(", text) == [op]


def test_the_format_names_every_attribute_of_an_op():
    said = {
        name: set(re.findall(r"\w+", " ".join(cells[2:])))
        for cells in rows("format.md", "op")
        for name in names(cells[0])
    }
    for _, program in small_programs():
        for op in program.ops:
            given = {*op["ints"], *op["floats"], *op["tensors"]}
            assert given <= said[op["op"]], op["op"]


def test_the_list_of_kernels_names_every_file_of_a_kernel():
    documented = [name for cells in rows("kernels.md", "op")
                  for name in re.findall(r"`(\w+)\.cc`", cells[1])]  # fmt: skip
    # What is built for no instruction set of its own finds kernels, and is none.
    finders = {kernel["op"] for kernel in _core.kernels()}
    assert sorted(documented) == sorted({path.stem for path in KERNELS.glob("*.cc")} - finders)


def test_the_list_of_kernels_names_every_kernel_under_what_it_computes():
    computes = {
        file: names(cells[0])
        for cells in rows("kernels.md", "op")
        for file in re.findall(r"`(\w+)\.cc`", cells[1])
    }
    for kernel in _core.kernels():
        assert kernel["op"] in computes[kernel["name"]], kernel
    assert {op for ops in computes.values() for op in ops} == {k["op"] for k in _core.kernels()}


def test_the_list_of_kernels_says_their_tiles():
    for cells in rows("kernels.md", "op"):
        tile = re.search(r"_(\d+)x(\d+)_", cells[1])
        if tile is not None:
            assert cells[2] == f"{tile[1]} x {tile[2]}", cells[1]
