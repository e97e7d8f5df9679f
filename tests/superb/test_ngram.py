"""N-grams of words, with probabilities computed by hand from the logarithms of the file."""

import gzip
import math

import pytest

from earbit.errors import DataError, FormatError
from earbit.heads.ngram import read_arpa

TRIGRAM = """\
\\data\\
ngram 1=5
ngram 2=4
ngram 3=1

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.7\t</s>
-0.5\tA\t-0.2
-0.8\tB\t-0.4

\\2-grams:
-0.3\t<s> A\t-0.1
-0.6\tA B
-0.2\tB </s>
-0.9\tA </s>

\\3-grams:
-0.05\t<s> A B

\\end\\
"""


def written(folder, text=TRIGRAM, name="lm.arpa"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("A",), -0.3),
        (("A", "B"), -0.05),
        # A B </s> is no trigram, and A B has no back-off weight.
        (("A", "B", "</s>"), -0.2),
        # <s> A A: back-off of <s> A, of A, and the unigram.
        (("A", "A"), -0.1 - 0.2 - 0.5),
        (("B",), -0.3 - 0.8),
        # An unknown word is <unk>, and the next one does not depend on it.
        (("C",), -0.3 - 1.0),
        (("C", "B"), -0.8),
        (("A", "C", "B"), -0.8),
    ],
)
def test_probabilities_back_off(tmp_path, words, expected):
    lm = read_arpa(written(tmp_path))
    context = lm.start
    for word in words[:-1]:
        context = lm.after(context, word)
        assert len(context) <= 2
    got = lm.log_probability(context, words[-1])
    assert got == pytest.approx(expected * math.log(10))


def test_the_last_words_alone_are_the_context(tmp_path):
    lm = read_arpa(written(tmp_path))
    context = lm.start
    for word in ("A", "A", "A", "B"):
        context = lm.after(context, word)
    assert context == ("A", "B")


def test_a_model_of_single_words_has_no_context(tmp_path):
    lm = read_arpa(written(tmp_path, "\\data\\\nngram 1=1\n\\1-grams:\n-0.5 A\n\\end\\\n"))
    assert lm.start == lm.after((), "A") == ()
    assert lm.log_probability((), "A") == pytest.approx(-0.5 * math.log(10))
    # Without <unk>, an unknown word has the probability that KenLM gives it.
    assert lm.log_probability((), "B") == pytest.approx(-100 * math.log(10))


def test_gzip_windows_line_ends_and_lower_case_are_read(tmp_path):
    plain = read_arpa(written(tmp_path))
    text = TRIGRAM.replace("A", "a").replace("\n", "\r\n").replace("<unk>", "<UNK>")
    other = read_arpa(written(tmp_path, gzip.compress(text.encode()), "lm.arpa.gz"))
    assert len(other) == len(plain) == 10
    for context in ((), ("<s>",), ("A",), ("<s>", "A")):
        for word in ("A", "B", "C", "</s>"):
            assert other.log_probability(context, word) == plain.log_probability(context, word)


def test_of_a_word_in_two_cases_the_more_likely_counts(tmp_path):
    lines = "\\data\\\nngram 1=2\n\\1-grams:\n-0.5 Polish\n-2 polish\n\\end\\\n"
    lm = read_arpa(written(tmp_path, lines))
    assert lm.log_probability((), "POLISH") == pytest.approx(-0.5 * math.log(10))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TRIGRAM.replace("\\end\\", ""), r"no .end. after 22 lines"),
        (TRIGRAM[:150], r"no .end. after"),
        (TRIGRAM.replace("-0.6\tA B\n", ""), "3 2-grams, the file declares 4"),
        (TRIGRAM.replace("ngram 3=1\n", ""), "3"),
        (TRIGRAM.split("\\3-grams")[0] + "\\end\\\n", "no 3-grams"),
        (TRIGRAM.replace("-0.6", "nan"), "'nan A B' is no 2-gram"),
        (TRIGRAM.replace("-0.6", "0.6"), "'0.6 A B' is no 2-gram"),
        (TRIGRAM.replace("-0.6\tA B", "-0.6\tA"), "'-0.6 A' is no 2-gram"),
        (TRIGRAM.replace("-0.6", "x"), "could not convert"),
        (TRIGRAM.replace("-0.1", "inf"), "is no 2-gram"),
        ("", "no .end. after 0 lines"),
        ("A B C\n", "no .end. after 1 lines"),
        (b"mmap lm http://kheafield.com/code format version 5\n", "a binary of KenLM"),
    ],
)
def test_a_file_that_is_no_whole_model_is_named(tmp_path, text, problem):
    path = written(tmp_path, text)
    with pytest.raises(FormatError, match=f"{path}.*{problem}") as error:
        read_arpa(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", gzip.compress(TRIGRAM.encode(), mtime=0)[:60]])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        read_arpa(path)
    with pytest.raises(DataError, match="cannot be read .*No such file"):
        read_arpa(tmp_path / "none.arpa")
