"""A copy of the package that a test adds files and rows of tables to."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import earbit
from earbit import _core

# The copy in the current folder, not the package that is installed.
FROM_COPY = """
import sys
from pathlib import Path

sys.meta_path[:] = [f for f in sys.meta_path if "Redirecting" not in type(f).__name__]
sys.path.insert(0, ".")
import earbit

assert Path(earbit.__file__).parent == Path("earbit").resolve()
"""


@dataclass(frozen=True)
class PackageCopy:
    """A copy of the package to add files and rows of tables to."""

    folder: Path
    """Of the copy, and of the programs that use it."""

    def add_file(self, name: str, text: str) -> None:
        (self.folder / "earbit" / name).write_text(text)

    def add_row(self, name: str, after: str, row: str, imports: str) -> None:
        """Adds a row behind another one, and the imports that it needs."""
        path = self.folder / "earbit" / name
        text = path.read_text()
        assert text.count(after) == 1
        first_import = text.index("from earbit")
        with_row = text.replace(after, after + row)
        path.write_text(with_row[:first_import] + imports + with_row[first_import:])

    def run(self, code: str) -> str:
        """The output of a program run in the folder; the test fails when the program does."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", FROM_COPY + code],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def package_copy(tmp_path):
    shutil.copytree(
        Path(earbit.__file__).parent,
        tmp_path / "earbit",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(_core.__file__, tmp_path / "earbit")
    return PackageCopy(tmp_path)
