"""Builds the synthetic corpus in the user's cache: FLAC files and a manifest.

`python -m earbit.audio.synthetic.build FOLDER JSON` builds it in a separate process, because the
state of the speech engine is global.  The folder is renamed to its final name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.audio.synthetic.contents import Contents, SyntheticConfig, lines_of
from earbit.audio.synthetic.espeak import Espeak
from earbit.errors import DataError, UnsupportedError
from earbit.progress import Advance, progress, say
from earbit.temporary import remove_left_behind, temporary_beside

VERSIONS: dict[Contents, int] = {"clips": 2, "voices": 1, "queries": 1, "mixtures": 2}
"""Versions of the generators, raised whenever equal seeds give different audio."""


def synthetic_corpus_folder(config: SyntheticConfig | None = None) -> Path:
    """The folder of the corpus, built first if it is not cached (about 20 s).

    The cache is $EARBIT_CACHE, else $XDG_CACHE_HOME/earbit, else ~/.cache/earbit.  Safe
    against interruption and concurrent runs.  Raises UnsupportedError without espeak-ng, and
    DataError if the cache cannot be written.
    """
    config = config or SyntheticConfig()
    text = json.dumps(asdict(config), sort_keys=True)
    version = VERSIONS[config.contents]
    key = hashlib.sha256(f"{version} {text}".encode()).hexdigest()[:12]
    kind = "" if config.contents == "clips" else f"{config.contents}-"
    final = cache_folder() / f"synthetic-{kind}{version}-{config.seed}-{key}"
    if (final / MANIFEST_NAME).is_file():
        return final
    say(f"making the synthetic corpus ({config.contents}), once: {final}")
    temporary = temporary_beside(final)
    remove_left_behind(final.parent, "synthetic-*")
    try:
        temporary.mkdir(parents=True)
        with progress("synthetic speech", config.n_clips) as advance:
            _build_in_child(temporary, text, advance)
        if not final.exists():
            temporary.rename(final)
    except OSError as error:
        if not (final / MANIFEST_NAME).is_file():  # otherwise another process was faster
            raise DataError(
                f"{final.parent}: the cache cannot be written ({error.strerror}); "
                "set EARBIT_CACHE to a folder that can"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _build_in_child(folder: Path, config_json: str, advance: Advance) -> None:
    command = [sys.executable, "-m", "earbit.audio.synthetic.build", str(folder), config_json]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
    ):
        assert child.stdout is not None
        for _ in child.stdout:
            advance()
        if child.wait():
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or ["no reason given"])[-1]
            raise UnsupportedError(f"the synthetic corpus could not be made: {reason}")


def cache_folder() -> Path:
    """The folder for reproducible files."""
    if folder := os.environ.get("EARBIT_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "earbit"
    return Path.home() / ".cache" / "earbit"


def build(folder: Path, config: SyntheticConfig) -> None:
    """Synthesises the corpus into `folder`, with the manifest last.

    Prints a line for every clip, and stops if the reader of its output has exited.
    """
    lines = []
    for line in lines_of(config, Espeak(), folder):
        lines.append(line)
        print(line["id"], flush=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]), SyntheticConfig(**json.loads(sys.argv[2])))
