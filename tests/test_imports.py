"""The way of the data: a file imports only what stands to its left, read from the code itself.

And how long a file may be.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from earbit.superb.tasks import TASKS

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "earbit"
MOST_LINES = 300

# From left to right; a row may import itself, the rows before it and FOUNDATION.
# `runtime` depends on `errors`, `frames`, `near_names` and `shipped` alone, so any row may use it.
FOUNDATION = {
    "config",
    "config_file",
    "distributed",
    "errors",
    "extras",
    "files",
    "foreign",
    "folder_lock",
    "frames",
    "near_names",
    "progress",
    "temporary",
    "terminal",
    "text_table",
    "nn",
    "peers",
    "rttm",
    "shipped",
    "runtime",
    "_core",
}
WAY = [
    "audio",
    "corpora",
    "heads",
    "units",
    "encoders",
    "model",
    "model_digest",
    "presets",
    "model_names",
    "model_file",
    "load",
    "run_folder",
    "pretrain",
    "quantize",
    "upstream",
]
BRANCHES = [["cost"], ["superb"], ["export"], ["finetune"], ["bench"], ["hub"], ["choose"]]
LAST = ["leaderboard", "study", "run", "run_stream", "query", "output", "cli", "__main__"]
# Blocks that know nothing of what is built from them.
CLOSED = {
    "distributed": {"errors", "folder_lock", "peers", "progress"},
    "errors": set(),
    "config": {"config_file", "errors", "files"},
    "config_file": {"errors"},
    "extras": {"errors"},
    "files": {"errors"},
    "foreign": {"errors", "near_names"},
    "folder_lock": {"errors", "files", "progress"},
    "frames": set(),
    "near_names": set(),
    "progress": {"terminal"},
    "temporary": set(),
    "terminal": set(),
    "text_table": {"terminal"},
    "nn": {"errors", "frames"},
    "peers": {"errors", "progress"},
    "runtime": {"errors", "frames", "near_names", "shipped", "_core"},
    "shipped": set(),
}


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported_names(path: Path) -> set[str]:
    """Dotted names below earbit, and top-level names of everything else, lazy imports included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names |= {f"earbit.{a.name}" for a in node.names} if module == "earbit" else {module}
    return names


def rooms_imported(path: Path) -> set[str]:
    ours = {name for name in imported_names(path) if name.startswith("earbit.")}
    return {name.split(".")[1] for name in ours} - {"__version__"}


def allowed_for(room: str) -> set[str]:
    if room in CLOSED:
        return CLOSED[room] | {room}
    if room == "load":  # builds quantized models too; `quantize` starts from what it loads
        return FOUNDATION | set(WAY[: WAY.index(room) + 1]) | {"quantize"}
    if room in WAY:
        return FOUNDATION | set(WAY[: WAY.index(room) + 1])
    if room in {"export", "finetune"}:  # with a head of superb
        return FOUNDATION | set(WAY) | {"superb", room}
    if room == "hub":  # writes what `export` lowers, with a head of superb
        return FOUNDATION | set(WAY) | {"superb", "export", room}
    if room == "bench":  # gives other engines ONNX files
        return FOUNDATION | set(WAY) | {"superb", "export", "hub", room}
    if room == "choose":  # measures what `export` packs, and heads of superb
        return FOUNDATION | set(WAY) | {"superb", "export", "bench", room}
    if room in {branch[0] for branch in BRANCHES}:
        return FOUNDATION | set(WAY) | {room}
    return FOUNDATION | set(WAY) | {b[0] for b in BRANCHES} | set(LAST)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SRC)))
def test_a_file_imports_only_what_stands_to_its_left(path):
    if path.parent == SRC and path.name == "__init__.py":
        return  # names what users use, from every room, lazily: see the light modules below
    assert rooms_imported(path) <= allowed_for(room_of(path))


def test_the_runtime_never_imports_torch():
    for path in (SRC / "runtime").rglob("*.py"):
        assert not {n for n in imported_names(path) if n.split(".")[0] in {"torch", "lhotse"}}


def test_no_file_imports_itself_by_way_of_others():
    imports = {}
    for path in modules():
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        imports[name] = imported_names(path)
    del imports["earbit"]  # lazy: it finds public names when they are asked for
    order = TopologicalSorter({name: found & set(imports) for name, found in imports.items()})
    order.prepare()  # raises CycleError, with the files


def test_quantize_leaves_have_never_heard_of_a_model():
    leaves = ("codes", "weights", "scale_search", "quantizers", "product", "leaves")
    for name in (*leaves, "selector", "plan", "convert", "calibrate"):
        rooms = rooms_imported(SRC / "quantize" / f"{name}.py")
        assert rooms <= {"nn", "errors", "config", "config_file", "quantize"}, name


@pytest.mark.parametrize("folder", ["encoders", "superb"])
def test_siblings_never_import_each_other(folder):
    shared = {
        "encoders": {"encoder", "table"},
        # What all tasks share; a task is a file of its own.
        "superb": ({p.stem for p in (SRC / "superb").glob("*.py")} | {"kinds"}) - set(TASKS),
    }[folder]
    for path in (SRC / folder).glob("*.py"):
        if path.stem in {"table", "verb", "__init__"} or path.stem in shared:
            continue
        siblings = {
            n.split(".")[2] for n in imported_names(path) if n.startswith(f"earbit.{folder}.")
        }
        assert siblings <= shared - {"table"}, path


def test_nothing_unsafe_is_ever_opened():
    for path in modules():
        text = path.read_text()
        assert not {n for n in imported_names(path) if n.split(".")[0] in {"pickle", "joblib"}}
        assert "torch.load(" not in text, path
        assert "allow_pickle=True" not in text, path


@pytest.mark.parametrize("folder", ["src", "csrc", "tests", "benchmarks", "examples"])
def test_no_file_is_longer_than_one_idea_needs(folder):
    suffixes = {".py", ".pyi", ".cc", ".c", ".h", ".def"}
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert lengths
    assert {path: n for path, n in lengths.items() if n > MOST_LINES} == {}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import earbit", {"torch", "numpy", "lhotse", "sklearn"}),
        ("import earbit.runtime", {"torch", "lhotse", "sklearn", "soundfile"}),
        ("import earbit.run", {"torch", "lhotse", "sklearn"}),
        ("import earbit.query", {"torch", "lhotse", "sklearn"}),
        ("import earbit.frames", {"torch", "lhotse", "sklearn", "numpy"}),
        (
            "import earbit.cli.main",
            {"torch", "lhotse", "sklearn", "numpy", "argparse", "importlib.metadata", "email"},
        ),
        ("import earbit.cli.commands", {"torch", "lhotse", "sklearn", "numpy"}),
        ("import earbit.bench.peers.catalogue", {"torch", "lhotse", "sklearn", "numpy"}),
        ("import earbit.quantize.plan", {"torch", "lhotse", "sklearn", "numpy"}),
        ("import earbit.superb.tasks", {"torch", "lhotse", "sklearn", "numpy"}),
        ("import earbit.presets", {"torch", "lhotse", "sklearn", "numpy"}),
        ("import earbit.bench.engine", {"torch", "lhotse", "sklearn"}),
    ],
)
def test_light_modules_stay_light(statement, forbidden):
    code = f"{statement}; import sys; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not forbidden & set(loaded)


@pytest.mark.parametrize(
    "args", [["--version"], ["--help"], ["run", "--help"], ["bench", "--help"]]
)
def test_what_is_only_said_costs_no_heavy_import(args):
    code = (
        "import atexit, sys; from earbit.cli.main import main;"
        "atexit.register(lambda: print('heavy', {'torch', 'lhotse', 'numpy'} & set(sys.modules)));"
        f"main({args})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy set()\n")


def test_every_public_name_is_there_and_is_found_only_when_asked_for():
    import earbit

    for name in earbit.__all__:
        assert getattr(earbit, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = earbit.nonsense


def test_all_tasks_of_superb_fit_in_2500_lines():
    assert sum(len(p.read_text().splitlines()) for p in (SRC / "superb").rglob("*.py")) < 2_500
