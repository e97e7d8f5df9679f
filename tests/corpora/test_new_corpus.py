"""A corpus costs one file and one row of the table: `prepare` and `superb` serve it at once."""

import json

from layouts import write_wav

CORPUS = """
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import text_lines, wrong_line


def _read(root):
    for number, line in text_lines(root / "words.txt"):
        name, *rest = line.split()
        if len(rest) != 2:
            raise wrong_line(root / "words.txt", number, line, "NAME SPLIT WORD")
        labels = {"split": rest[0], "keyword": rest[1], "speaker": name.partition("-")[0]}
        yield LabelledClip(id=name, path=Path("wav") / f"{name}.wav", labels=labels)


NOTES = PublishedCorpus(
    name="notes",
    title="Notes",
    licence="free, https://example.org",
    layout=("words.txt", "wav"),
    parts=(Part(tasks=("ks",), read=_read, counts={"train": 2, "valid": 2, "test": 2}),),
)
"""
ROW = "        FAIRSEQ_TSV,\n"
USE = """
from earbit.cli.main import main

main(["prepare", "notes", "--root", "given", "--out", "prepared"])
run = ["superb", "fbank", "--task", "ks", "--data", "prepared", "--out", "ks", "--n-steps", "2"]
main([*run, "--lrs", "1e-2", "--protocol", "superb"])
"""


def test_a_corpus_of_one_file_and_one_row_is_prepared_and_scored(package_copy):
    package_copy.add_file("corpora/notes.py", CORPUS)
    imports = "from earbit.corpora.notes import NOTES\n"
    package_copy.add_row("corpora/table.py", ROW, "        NOTES,\n", imports)
    given = package_copy.folder / "given"
    lines = []
    for speaker, split in {"anna": "train", "ben": "valid", "cleo": "test"}.items():
        for word, hz in {"low": 300, "high": 3_000}.items():
            write_wav(given / "wav" / f"{speaker}-{word}.wav", 4_800, hz)
            lines.append(f"{speaker}-{word} {split} {word}\n")
    (given / "words.txt").write_text("".join(lines))
    package_copy.run(USE)
    report = json.loads((package_copy.folder / "prepared" / "manifest.json").read_text())
    assert report["published"]["files"]["train"] == {"found": 2, "published": 2}
    assert "ks" in report["tasks"]
    assert json.loads((package_copy.folder / "ks" / "scores.json").read_text())["task"] == "ks"
