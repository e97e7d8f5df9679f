"""pip takes the build of PyTorch that `make setup TORCH=...` names, in the pinned version."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINNED = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]


def write_wheel(folder, version):
    """A wheel of torch without content."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    links = "".join(f'<a href="{one.name}">{one.name}</a>' for one in folder.glob("*.whl"))
    (folder / "index.html").write_text(f"<!doctype html><html><body>{links}</body></html>")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    """Folders in the form of PyPI and of the indexes of PyTorch, with newer versions too."""
    root = tmp_path_factory.mktemp("indexes")
    for name, build in {"pypi": "", "cpu": "+cpu", "cu128": "+cu128"}.items():
        for version in (PINNED, "99.0"):
            write_wheel(root / name / "torch", version + build)
    return root


def options_of_make(*variables):
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = planned.replace("\\\n", " ").splitlines()
    return next(line for line in lines if "--editable" in line)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [((), PINNED), (("TORCH=cpu",), f"{PINNED}+cpu"), (("TORCH=cu128",), f"{PINNED}+cu128")],
    ids=["PyPI", "cpu", "cu128"],
)
def test_the_build_is_the_named_one_in_the_pinned_version(indexes, tmp_path, variables, expected):
    line = options_of_make(*variables)
    build = re.search(r"--extra-index-url https://download.pytorch.org/whl/(\S+)", line)
    extra = ["--extra-index-url", (indexes / build[1]).as_uri()] if build else []
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--no-deps", "--isolated", "--constraint", ROOT / "constraints.txt"]
    command += [
        "--report",
        report,
        "--index-url",
        (indexes / "pypi").as_uri(),
        *extra,
        "torch>=2.8,<3",
    ]
    subprocess.run(
        list(map(str, command)), check=True, env={"PATH": "", "PIP_CONFIG_FILE": "/dev/null"}
    )
    installed = json.loads(report.read_text())["install"]
    assert [one["metadata"]["version"] for one in installed] == [expected]
