"""QUESST 2014 in its own layout: Audio, queries, and scoring with keys and ground truth."""

import pytest
from layouts import found, manifest, prepared, write_wav

from earbit.audio.corpus import open_corpus
from earbit.errors import DataError
from earbit.superb.search import searches_of

DOCUMENTS = [f"quesst14_{i:05d}" for i in range(1, 6)]
LANGUAGES = ["nnenglish", "nnenglish", "basque", "nnenglish", "nnenglish"]
MATCHES = {
    "dev": [("quesst14_00001", "quesst14_dev_0001"), ("quesst14_00002", "quesst14_dev_0001")],
    "eval": [("quesst14_00002", "quesst14_eval_0001"), ("quesst14_00003", "quesst14_eval_0002")],
}


def rttm(part):
    return "".join(f"LEXEME {d} 1 0.0 7.4 {q} lex <NA> <NA>\n" for d, q in MATCHES[part])


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "quesst14Database"
    scoring = root / "scoring"
    lines = {"utterances": [], "dev": [], "eval": []}
    for name, language in zip(DOCUMENTS, LANGUAGES, strict=True):
        write_wav(root / "Audio" / f"{name}.wav")
        lines["utterances"].append(f"quesst14Database/Audio/{name}.wav {language}\n")
    for part in ("dev", "eval"):
        for i, language in ((1, "nnenglish"), (2, "czech")):
            name = f"quesst14_{part}_{i:04d}"
            write_wav(root / f"{part}_queries" / f"{name}.wav")
            lines[part].append(f"quesst14Database/{part}_queries/{name}.wav {language}\n")
        folder = scoring / f"groundtruth_quesst14_{part}"
        folder.mkdir(parents=True)
        (folder / f"quesst14_{part}.rttm").write_text("SPKR-INFO x\n" + rttm(part))
    for name, of_list in lines.items():
        (scoring / f"language_key_{name}.lst").write_text("".join(of_list))
    return root


def test_the_english_part_is_searched_with_the_matches_of_the_ground_truth(root, tmp_path):
    report = prepared("quesst14", root, tmp_path / "out")
    lines = manifest(tmp_path / "out")
    assert lines["quesst14_dev_0001"] == {
        "path": "audio/dev_queries/quesst14_dev_0001.wav",
        "query": "quesst14_dev_0001",
        "split": "valid",
    }
    assert lines["quesst14_00002"] == {
        "path": "audio/Audio/quesst14_00002.wav",
        "terms": ["quesst14_dev_0001", "quesst14_eval_0001"],
    }
    assert lines["quesst14_00004"]["terms"] == []
    assert set(lines) == {
        "quesst14_dev_0001",
        "quesst14_eval_0001",
        *(d for d, language in zip(DOCUMENTS, LANGUAGES, strict=True) if language == "nnenglish"),
    }
    assert found(report) == {"valid": 1, "test": 1, "none": 4}
    assert report["tasks"] == ["qbe"]


def test_documents_without_a_match_are_searched_too(root, tmp_path):
    prepared("quesst14", root, tmp_path / "out")
    searches = searches_of(open_corpus(tmp_path / "out"))
    assert list(searches["valid"].queries) == ["quesst14_dev_0001"]
    assert list(searches["test"].queries) == ["quesst14_eval_0001"]
    for search in searches.values():
        assert len(search.documents) == 4
    matching = {
        d for d, terms in searches["test"].documents.items() if "QUESST14_EVAL_0001" in terms
    }
    assert matching == {"quesst14_00002"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("language_key_dev.lst", "quesst14_dev_0001.wav\n", "language_key_dev.lst:1"),
        ("language_key_dev.lst", "a/b.wav czech\n", "no file of the language nnenglish"),
        ("language_key_utterances.lst", "", "language_key_utterances.lst: empty"),
        ("groundtruth_quesst14_eval/quesst14_eval.rttm", "LEXEME a 1 0 1 b\n", "rttm:1"),
        ("groundtruth_quesst14_eval/quesst14_eval.rttm", None, "no .rttm file"),
    ],
)
def test_a_missing_or_damaged_table_is_named(root, tmp_path, name, content, problem):
    path = root / "scoring" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=problem):
        prepared("quesst14", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_line_ends_of_windows_change_nothing(root, tmp_path):
    prepared("quesst14", root, tmp_path / "one")
    for path in (root / "scoring").rglob("*.*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    prepared("quesst14", root, tmp_path / "two")
    assert manifest(tmp_path / "one") == manifest(tmp_path / "two")
