"""QUESST 2014: spoken queries and documents, of which SUPERB takes the English part.

Source: Anguera et al. 2015; parts as in SUPERB, arXiv 2105.01051.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import files_in, text_lines, wrong_line
from earbit.errors import DataError

LANGUAGE = "nnenglish"
"""English of speakers of other languages."""
SPLITS = {"dev": "valid", "eval": "test"}
MATCH = re.compile(r"LEXEME\s+(\S+)\s.*?\b(quesst14_(?:dev|eval)_\d+)\b.*")
"""Line of the ground truth: a document, and a query that it matches."""


def read(root: Path) -> Iterator[LabelledClip | str]:
    """Queries, each a term of its own, and documents with the queries that they match."""
    matches: dict[str, set[str]] = {}
    for name, split in SPLITS.items():
        queries = _listed(root, name)
        names = {path.stem for path in queries}
        for document, query in _matches(root, name):
            if query in names:
                matches.setdefault(document, set()).add(query)
        for path in queries:
            yield LabelledClip(id=path.stem, path=path, labels={"query": path.stem, "split": split})
    documents = _listed(root, "utterances")
    for path in documents:
        terms = sorted(matches.get(path.stem, set()))
        yield LabelledClip(id=path.stem, path=path, labels={"terms": terms})
    unknown = sorted(set(matches) - {path.stem for path in documents})
    if unknown:
        yield (
            f"{len(unknown):,} documents of the ground truth are not in the list of English "
            f"documents, the first: {unknown[0]}"
        )


def _listed(root: Path, name: str) -> list[Path]:
    """English files of a list, relative to `root`; its lines begin with a folder around it."""
    path = root / "scoring" / f"language_key_{name}.lst"
    files = []
    for number, line in text_lines(path):
        words = line.split()
        if len(words) != 2 or "/" not in words[0]:
            raise wrong_line(path, number, line, "FOLDER/FILE LANGUAGE")
        if words[1] == LANGUAGE:
            files.append(Path(words[0].partition("/")[2]))
    if not files:
        raise DataError(f"{path}: no file of the language {LANGUAGE}; copy it again")
    return files


def _matches(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """(document, query) of the ground truth."""
    folder = root / "scoring" / f"groundtruth_quesst14_{name}"
    tables = files_in(folder, "*.rttm")
    if not tables:
        raise DataError(f"{folder}: no .rttm file; copy the folder again")
    for path in tables:
        for number, line in text_lines(path):
            if not line.startswith("LEXEME"):
                continue
            found = MATCH.fullmatch(line)
            if found is None:
                raise wrong_line(path, number, line, f"LEXEME DOCUMENT ... quesst14_{name}_NUMBER")
            yield found[1], found[2]


QUESST14 = PublishedCorpus(
    name="quesst14",
    title="QUESST 2014",
    licence="for research, https://speech.fit.vut.cz/software/quesst-2014-multilingual-database-"
    "query-by-example-keyword-spotting",
    layout=(
        "Audio",
        "dev_queries",
        "eval_queries",
        *(f"scoring/language_key_{name}.lst" for name in ("utterances", "dev", "eval")),
        *(f"scoring/groundtruth_quesst14_{name}" for name in ("dev", "eval")),
    ),
    parts=(Part(tasks=("qbe",), read=read, counts={"valid": 138, "test": 138, "none": 2_438}),),
    notes=("waveforms keep their level; s3prl lowers them by 3 dB",),
)
