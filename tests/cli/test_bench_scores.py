"""`earbit bench --scores`: scores of `superb` beside the times of the same model."""

import json

import pytest
from one_line import fails

from earbit.bench.table import render_bench
from earbit.cli.bench_scores import read_scores, scores_of
from earbit.cli.main import main
from earbit.errors import ConfigError, FormatError
from earbit.runtime.program_file import file_digest, read_program


def write(folder, digest, task="ks", metric="accuracy", value=0.9312, **more):
    folder.mkdir(parents=True, exist_ok=True)
    score = {"task": task, "metric": metric, "value": value, "model_digest": digest, **more}
    (folder / "scores.json").write_text(json.dumps(score))
    return folder


def test_a_score_is_found_by_the_digest_of_the_program_and_of_its_model(program, tmp_path):
    of_program = write(tmp_path / "a", file_digest(program))
    of_model = read_program(program).origin["model_digest"]
    write(tmp_path / "b" / "asr", of_model, "asr", "wer", 0.25, protocol_name="proxy")
    write(tmp_path / "b" / "qbe", of_model, "qbe", "mtwv", 0.05, finetuned=True)
    found = read_scores([of_program, tmp_path / "b"])
    beside = scores_of(found, {"w1a1": program}, None)["w1a1"]
    assert {title: score["text"] for title, score in beside.items()} == {
        "ks accuracy (%)": "93.12",
        "asr wer (%)": "25.00 (proxy: not comparable)",
        "qbe mtwv": "0.0500 (fine-tuned, not SUPERB)",
    }
    assert beside["asr wer (%)"]["value"] == 0.25


def test_scores_of_another_model_are_refused_by_their_digest(
    program, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("earbit.bench.quiet.warn_of_disturbance", lambda threads: None)
    folder = write(tmp_path / "a", "f" * 64)
    command = ["bench", str(program), "--engines", "none", "--scores", str(folder)]
    assert "scores of another model than is measured (digest ffffffffffff)" in fails(
        capsys, *command
    )
    with pytest.raises(ConfigError, match=r"no scores\.json in it"):
        read_scores([tmp_path / "none"])
    (folder / "scores.json").write_text("{}")
    with pytest.raises(FormatError, match="not a score of earbit superb"):
        read_scores([folder])


def test_two_scores_of_a_task_and_a_model_are_refused(program, tmp_path):
    digest = file_digest(program)
    folders = [write(tmp_path / name, digest, value=v) for name, v in (("a", 0.5), ("b", 0.6))]
    said = r"b: ks accuracy \(%\) of 60.00, but another folder has 50.00 of the same model"
    with pytest.raises(ConfigError, match=said):
        scores_of(read_scores(folders), {"w1a1": program}, None)
    write(tmp_path / "both" / "a", digest, value=0.5)
    write(tmp_path / "both" / "b", digest, value=0.6)
    with pytest.raises(ConfigError, match=r"b/scores\.json: ks accuracy .* give one of them"):
        read_scores([tmp_path / "both"])
    write(tmp_path / "both", digest, value=0.7)
    beside = scores_of(read_scores([tmp_path / "both"]), {"w1a1": program}, None)["w1a1"]
    assert beside["ks accuracy (%)"]["text"] == "70.00"  # the folder's own score


def test_the_table_and_the_json_of_bench_have_the_score(program, tmp_path, capsys):
    folder = write(tmp_path / "a", file_digest(program), protocol_name="proxy")
    command = ["bench", str(program), "--seconds", "0.5", "--runs", "1", "--scores", str(folder)]
    main([*command, "--json", str(tmp_path / "times.json")])
    head, ours, torch = [line.split("  ") for line in capsys.readouterr().out.splitlines()[:3]]
    assert head[-1].strip() == "ks accuracy (%)"
    assert ours[-1].strip() == "93.12 (proxy: not comparable)"
    assert torch[-1].strip() == "-"
    result = json.loads((tmp_path / "times.json").read_text())
    (measured,) = result["programs"]
    assert measured["file"] == str(program)
    assert measured["digest"] == file_digest(program)
    assert measured["model_digest"] == read_program(program).origin["model_digest"]
    records = result["records"]
    assert records[0]["scores"]["ks accuracy (%)"]["marks"] == ["proxy: not comparable"]
    assert records[1]["scores"] == {}


def test_peers_in_float_have_the_score_of_the_model_and_others_have_none():
    from earbit.bench.verb import _scores_of

    scores = {"w1a1": {"ks": 1}, None: {"ks": 2}}
    rows = [("earbit", "w1a1", "w1a1"), ("torch", None, "fp32"), ("torch-int8", None, "int8")]
    keys = ("engine", "plan", "precision")
    found = [_scores_of(dict(zip(keys, row, strict=True)), scores) for row in rows]
    assert found == [{"ks": 1}, {"ks": 2}, {}]


def test_a_table_without_scores_has_no_column_for_them():
    record = {
        "engine": "earbit", "plan": None, "precision": "w1a1", "seconds": 1, "threads": 1,
        "median_ms": 1, "p10_ms": 1, "p90_ms": 1, "n_runs": 1, "rtf": 1, "peak_rss_bytes": 1,
        "cosine": None,
    }  # fmt: skip
    assert "--scores" not in render_bench([record])
