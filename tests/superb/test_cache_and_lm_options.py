"""`earbit superb` with --cache and --lm, on three notes of three speakers."""

import json

import numpy as np
import pytest
import soundfile

from earbit.cli.main import main
from earbit.errors import ConfigError
from earbit.superb.verb import score_model
from earbit.superb.work import Settings
from earbit.upstream import features

NOTES = {"low": (250, "LOW"), "mid": (1_000, "MID WAY"), "high": (3_500, "HIGH")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("notes")
    t_s, lines = np.arange(6_400) / 16_000, []
    for split in ("train", "valid", "test"):
        for word, (hz, text) in NOTES.items():
            name = f"{split}-{word}"
            soundfile.write(root / f"{name}.wav", 0.3 * np.sin(2 * np.pi * hz * t_s), 16_000)
            labels = {"speaker": split, "keyword": word, "text": text, "split": split}
            lines.append(json.dumps({"id": name, "path": f"{name}.wav", **labels}) + "\n")
    (root / "manifest.jsonl").write_text("".join(lines))
    return root


def test_without_a_cache_scores_and_heads_are_the_same_and_half_precision_is_another_run(
    folder, tmp_path, monkeypatch
):
    where = ("hubert-tiny", ("ks",), (str(folder),))
    few = Settings(n_steps=3, lrs=(1e-2,))
    (cached,) = score_model(*where, tmp_path / "a", settings=few, seed=0)
    monkeypatch.setattr(
        features.ShardedFeatures, "add", lambda *_: pytest.fail("a shard was written")
    )
    (computed,) = score_model(*where, tmp_path / "b", settings=few, seed=0, cache="none")
    assert {**computed, "cache": "fp32"} == cached
    heads = [(tmp_path / name / "head.safetensors").read_bytes() for name in "ab"]
    assert heads[0] == heads[1]
    score_model(*where, tmp_path / "a", settings=few, seed=0, cache="none")  # the same run
    with pytest.raises(ConfigError, match="a run with --cache fp32, here --cache fp16"):
        score_model(*where, tmp_path / "a", settings=few, seed=0, cache="fp16")


def test_the_command_takes_a_language_model_and_prints_its_score(folder, tmp_path, capsys):
    arpa = tmp_path / "words.arpa"
    words = ("<unk>", "<s>", "</s>", "low", "mid", "way", "high")
    entries = "".join(f"-1 {word}\n" for word in words)
    arpa.write_text(f"\\data\\\nngram 1={len(words)}\n\n\\1-grams:\n{entries}\\end\\\n")
    command = ["superb", "hubert-tiny", "--task", "asr", "--data", str(folder), "--n-steps", "2"]
    options = ["--lm", str(arpa), "--beam", "4", "--lm-weights", "0.87", "-1", "--cache", "fp16"]
    main([*command, "--out", str(tmp_path / "out"), *options])
    assert "wer with LM (%)" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert written["cache"] == "fp16"
    assert (written["with_lm"]["lm_weight"], written["with_lm"]["word_score"]) == (0.87, -1)
    assert written["with_lm"]["n_beams"] == 4
    with pytest.raises(SystemExit) as done:
        main([*command, "--out", str(tmp_path / "other"), "--beam", "4"])
    assert done.value.code == 2
    assert "give --lm FILE.arpa" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
