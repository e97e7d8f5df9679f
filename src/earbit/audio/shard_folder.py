"""The folder of shards that `earbit prepare` writes beside its report."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from earbit.audio.corpus import Corpus
from earbit.audio.corpus_digest import CorpusDigest
from earbit.audio.corpus_names import SYNTHETIC
from earbit.audio.inputs import open_input
from earbit.audio.shards import write_shards
from earbit.errors import ConfigError, DataError, require_range
from earbit.files import make_folder
from earbit.folder_lock import only_process_in
from earbit.progress import progress
from earbit.temporary import temporary_beside

SHARDS = "shards"
"""Folder of shards in the output folder."""
OF_SHARDS = ("cuts.*.jsonl.gz", "recording.*.tar")
"""Names of the files in it."""
MIN_SHARD_MB = 1.0


def check_shard_size(shard_mb: float | None) -> None:
    """Raises ConfigError for a size that makes too many files."""
    if shard_mb is not None:
        require_range(MIN_SHARD_MB, math.inf, shards=shard_mb)


def refuse_shards(where: str, out_dir: Path, report_name: str) -> None:
    """Raises ConfigError if `out_dir`/shards, which is replaced, is not ours to replace.

    That is so if it holds the corpus `where` or files other than shards, or if `out_dir` has no
    report of `prepare`.  report_name: name of this report.
    """
    target = out_dir / SHARDS
    if where != SYNTHETIC and Path(where).resolve().is_relative_to(target.resolve()):
        raise ConfigError(
            f"{target}: holds the corpus, and --shards writes there; give another --out"
        )
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise ConfigError(f"{target}: is not a folder of shards; give another --out")
    others = sorted(p.name for p in target.iterdir() if not any(map(p.match, OF_SHARDS)))
    if others:
        raise ConfigError(f"{target}: holds other files ({others[0]}); give another --out")
    if any(target.iterdir()) and not _is_report(out_dir / report_name):
        raise ConfigError(
            f"{target}: holds shards, but {out_dir} has no {report_name} of earbit prepare; move "
            "them away, or give another --out"
        )


def _is_report(path: Path) -> bool:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and {"corpus", "digest", "n_utterances"} <= report.keys()


def with_shards(
    corpus: Corpus, where: str | Path, out_dir: Path, *, shard_mb: float, resplit: bool = False
) -> dict[str, Any]:
    """Writes the clips of a corpus to `out_dir`/shards and returns the part of the report on them.

    corpus: that of `where`, without damaged files.  The folder of the shards is complete or absent,
    and replaces an earlier one, see `refuse_shards`.  Raises DataError if files changed since they
    were decoded, and ConfigError while another process writes there.
    """
    with only_process_in(out_dir):
        return _with_shards(corpus, where, out_dir, shard_mb, resplit)


def _with_shards(
    corpus: Corpus, where: str | Path, out_dir: Path, shard_mb: float, resplit: bool
) -> dict[str, Any]:
    target = out_dir / SHARDS
    for left in out_dir.glob(f".{SHARDS}.*.tmp"):  # of a killed process, of any machine
        shutil.rmtree(left, ignore_errors=True)
    new = temporary_beside(target)
    usable = {cut.id for cut in corpus.cuts}
    given = (u for u in open_input(where, resplit=resplit).usable([]) if u.id in usable)
    sizes = []
    make_folder(new)
    try:
        with progress(f"writing shards of {corpus.name}", len(usable)) as advance:
            n_processes = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
            for n_clips in write_shards(given, new, shard_mb=shard_mb, n_processes=n_processes):
                sizes.append(n_clips)
                advance(n_clips)
        digest = CorpusDigest()
        for utterance in open_input(new).usable([]):
            digest.add(utterance)
        if sum(sizes) != len(usable):
            raise DataError(f"{where}: {sum(sizes)} of {len(usable)} clips are left; run it again")
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    about = {"folder": str(target), "n_shards": len(sizes), "digest": digest.hexdigest()}
    return {"shards": about}
