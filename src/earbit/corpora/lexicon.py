"""Pronunciations of words, from the lexica of LibriSpeech beside its audio."""

from __future__ import annotations

from pathlib import Path

from earbit.corpora.text_lines import text_lines, wrong_line

LEXICONS = (
    ("librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt"),
    ("librispeech-lexicon.txt",),
)
"""Files of s3prl (s3prl/downstream/ctc/lexicon), else that of https://www.openslr.org/11."""
LEXICONS_ARE = (
    f"{' and '.join(LEXICONS[0])} (of s3prl, downstream/ctc/lexicon), nor {LEXICONS[1][0]} "
    "(https://www.openslr.org/11)"
)


def pronunciations(folder: Path) -> dict[str, list[str]]:
    """The phones of every word, by its first pronunciation as in s3prl; empty without a lexicon.

    Raises DataError for a lexicon that is damaged.
    """
    found = (names for names in LEXICONS if all((folder / name).is_file() for name in names))
    phones_of: dict[str, list[str]] = {}
    for path in (folder / name for name in next(found, ())):
        for number, line in text_lines(path):
            word, *phones = line.split()
            if not phones:
                raise wrong_line(path, number, line, "WORD PHONE PHONE ...")
            phones_of.setdefault(word, phones)
    return phones_of
