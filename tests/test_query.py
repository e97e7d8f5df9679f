"""`earbit run --query` and `Session.match`: which documents contain a spoken query."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.cli.main import main
from earbit.errors import ConfigError, DataError, FormatError
from earbit.export.verb import export_model
from earbit.query import search_files
from earbit.runtime import Session
from earbit.runtime.match import match_scores
from earbit.runtime.program_file import file_digest
from earbit.shipped import program_path

LAYER = 1


def word(seed):
    """Four tones of 0.1 s."""
    hz = np.random.default_rng(seed).uniform(200, 4_000, 4)
    return np.concatenate([0.3 * np.sin(2 * np.pi * f * np.arange(1_600) / 16_000) for f in hz])


def spoken(seed, *words):
    noise = np.random.default_rng(seed).standard_normal(6_400 * len(words))
    clean = np.concatenate([word(w) for w in words])
    return (clean + 0.01 * noise).astype(np.float32)


DOCUMENTS = {"a": (1, 2, 3), "b": (4, 5, 6), "c": (7, 2, 8), "d": (9, 4, 7), "e": (5, 8, 1)}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "p.safetensors"
    export_model("hubert-tiny", path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Documents a and c contain the word of the query."""
    folder = tmp_path_factory.mktemp("speech")
    (folder / "documents").mkdir()
    for seed, (name, words) in enumerate(DOCUMENTS.items()):
        soundfile.write(folder / "documents" / f"{name}.wav", spoken(seed, *words), 16_000)
    soundfile.write(folder / "query.wav", spoken(99, 2), 16_000)
    return folder


def qbe(folder, program, **changes):
    folder.mkdir()
    score = {"task": "qbe", "layer": LAYER, "threshold": 0.5, "model_digest": file_digest(program)}
    (folder / "scores.json").write_text(json.dumps({**score, **changes}))
    return folder


def test_documents_with_the_word_of_the_query_are_first(program, folder, tmp_path):
    head = qbe(tmp_path / "qbe", program)
    found = search_files(program, [folder / "documents"], folder / "query.wav", head=head)
    names = [entry["audio"][-5] for entry in found]
    assert set(names[:2]) == {"a", "c"}
    assert [entry["is_match"] for entry in found] == [True, True, False, False, False]
    scores = [entry["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert np.mean(scores) == pytest.approx(0, abs=1e-3)
    session = Session(program)
    documents = [spoken(i, *words) for i, words in enumerate(DOCUMENTS.values())]
    states = [session.run(d, layers="all")[LAYER] for d in (spoken(99, 2), *documents)]
    of_session = session.match(spoken(99, 2), documents, layer=LAYER)
    assert np.array_equal(of_session, next(match_scores(states[:1], states[1:])))
    by_name = dict(zip(DOCUMENTS, of_session, strict=True))
    assert scores == pytest.approx([by_name[name] for name in names], abs=0.02)  # of 16-bit files


def test_a_folder_of_the_exported_model_gives_the_layer_and_threshold_too(
    program, folder, tmp_path
):
    digest = Session(program).origin["model_digest"]
    head = qbe(tmp_path / "qbe", program, model_digest=digest, threshold=None)
    found = search_files(program, [folder / "documents"], folder / "query.wav", head=head)
    by_layer = search_files(program, [folder / "documents"], folder / "query.wav", layer=LAYER)
    assert found == by_layer
    assert "is_match" not in found[0]
    low = search_files(
        program, [folder / "documents"], folder / "query.wav", head=head, threshold=-9
    )
    assert all(entry["is_match"] for entry in low)


def test_a_file_that_is_no_audio_is_left_out_and_listed_last(program, folder, tmp_path, capsys):
    (tmp_path / "x.wav").write_text("no audio")
    command = ["run", str(program), str(folder / "documents"), str(tmp_path / "x.wav")]
    with pytest.raises(SystemExit) as end:
        main([*command, "--query", str(folder / "query.wav"), "--layer", "1"])
    assert end.value.code == 2
    printed = capsys.readouterr()
    records = json.loads(printed.out)
    assert ["error" in record for record in records] == [False] * 5 + [True]
    assert "1 of 6 files left out" in printed.err


def test_what_cannot_be_searched_is_said_in_one_line(program, folder, tmp_path):
    query, documents = folder / "query.wav", [folder / "documents"]

    def refused(error, match, *, documents=documents, query=query, **options):
        with pytest.raises(error, match=match):
            search_files(program, documents, query, **options)

    refused(ConfigError, "--query without a layer; give --head DIR .* or --layer, 0 to 3")
    refused(ConfigError, "layer=4; allowed: 0 .* to 3", layer=4)
    refused(ConfigError, "give one of them", layer=1, head=qbe(tmp_path / "a", program))
    of_other = qbe(tmp_path / "b", program, model_digest="0" * 64)
    refused(ConfigError, "of another model than", head=of_other)
    refused(ConfigError, "of task 'ks'", head=qbe(tmp_path / "c", program, task="ks"))
    refused(ConfigError, "no such file", head=tmp_path / "nothing")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "scores.json").write_text("[]")
    refused(FormatError, "not a score", head=tmp_path / "d")
    refused(DataError, "one usable document", documents=[query], layer=1)
    soundfile.write(tmp_path / "short.wav", np.ones(1_679) / 9, 16_000)
    too_short = "short.wav: a query of 1679 samples; at least 1680 .0.105 s. are needed"
    refused(DataError, too_short, query=tmp_path / "short.wav", layer=1)
    refused(ConfigError, "no audio file given", documents=[], layer=1)
    refused(ConfigError, "threshold=nan; allowed are finite", layer=1, threshold=np.nan)
    for i, damage in enumerate(({"threshold": "0.5"}, {"threshold": np.inf}, {"layer": "1"})):
        damaged = qbe(tmp_path / f"damaged-{i}", program, **damage)
        refused(FormatError, r"scores\.json: not a score", head=damaged)
    (tmp_path / "x.wav").write_text("no audio")
    refused(DataError, "no usable audio file", documents=[tmp_path / "x.wav"], layer=1)


def test_the_folder_of_a_program_that_comes_with_earbit_gives_the_layer(folder, tmp_path):
    program = Path("encoder-w1a1")
    head = qbe(tmp_path / "qbe", program_path(program))
    assert len(search_files(program, [folder / "documents"], folder / "query.wav", head=head)) == 5


def test_the_folder_of_several_tasks_has_the_layer_too(program, folder, tmp_path):
    qbe(tmp_path / "qbe", program)
    (tmp_path / "ks").mkdir()
    found = search_files(program, [folder / "documents"], folder / "query.wav", head=tmp_path)
    assert all("is_match" in document for document in found)


def test_options_of_a_search_need_a_query(program, folder, tmp_path, capsys):
    document = str(folder / "query.wav")
    for options, said in (
        (["--layer", "1"], "--layer is for --query"),
        (["--head", str(tmp_path)], "--head is for --query"),
        (["--query", document, "--out", "f.npz"], "--query writes no features"),
    ):
        with pytest.raises(SystemExit):
            main(["run", str(program), document, *options])
        assert said in capsys.readouterr().err


def test_a_session_refuses_a_search_without_two_documents_or_a_whole_query(program):
    session, audio = Session(program), spoken(0, 1)
    with pytest.raises(ConfigError, match="1 documents; a score compares at least two"):
        session.match(audio, [audio], layer=0)
    with pytest.raises(DataError, match="a query of 1679 samples; at least 1680 are needed"):
        session.match(audio[:1679], [audio, audio], layer=0)
    with pytest.raises(ConfigError, match="layer=-1"):
        session.match(audio, [audio, audio], layer=-1)
