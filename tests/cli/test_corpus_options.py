"""Options about corpora, from the command line to the files that come of them."""

import json

import numpy as np
import soundfile
from one_line import fails

from earbit.cli.main import main

RATE_HZ = 16_000
SPLITS = ("train", "train", "valid", "valid", "test", "test")


def write(root, n=3):
    root.mkdir()
    random = np.random.default_rng(0)
    for i in range(n):
        soundfile.write(root / f"{i}.wav", 0.1 * random.normal(size=RATE_HZ), RATE_HZ)
    return root


def test_prepare_makes_a_manifest_of_a_table_and_looks_it_over(tmp_path, capsys):
    root = write(tmp_path / "audio", n=6)
    table = tmp_path / "labels.csv"
    words = ("yes", "no")
    rows = "".join(f"{i}.wav,{words[i % 2]},{split}\n" for i, split in enumerate(SPLITS))
    table.write_text(f"path,keyword,split\n{rows}")
    args = ["prepare", "folder", "--root", root, "--labels", table, "--out", tmp_path / "o"]
    main([str(arg) for arg in args])
    report = json.loads(capsys.readouterr().out)
    assert report["labels"] == {"keyword": 6}
    assert report["tasks"] == ["ks"]
    assert "ks" in report["tasks"]
    assert len((root / "manifest.jsonl").read_text().splitlines()) == 6
    assert "manifest.jsonl: exists already and is not overwritten" in fails(capsys, *args)


def test_prepare_does_not_write_into_the_folder_of_a_run(tmp_path, capsys):
    root, run = write(tmp_path / "audio"), tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"type": "recipe"}')
    line = fails(capsys, "prepare", "folder", "--root", root, "--out", run)
    assert f"{run}: holds a pre-training; give another --out" in line
    assert [path.name for path in run.iterdir()] == ["config.json"]


def test_units_of_a_corpus_of_test_clips_need_resplit(tmp_path, capsys):
    root = write(tmp_path / "audio")
    lines = [json.dumps({"path": f"{i}.wav", "split": "test"}) for i in range(3)]
    (root / "manifest.jsonl").write_text("\n".join(lines))
    args = ["units", root, "--n-units", 4, "--out", tmp_path / "o"]
    assert "all 3 clips have `split: test`; " in fails(capsys, *args)
    main([str(arg) for arg in (*args, "--resplit")])
    assert json.loads(capsys.readouterr().out)["n_units"] == 4


def test_a_manifest_of_another_encoding_is_one_line(tmp_path, capsys):
    root = write(tmp_path / "audio")
    text = "".join(json.dumps({"path": f"{i}.wav"}) + "\n" for i in range(3))
    (root / "manifest.jsonl").write_bytes(text.encode("utf-16"))
    line = fails(capsys, "prepare", "folder", "--root", root, "--out", tmp_path / "o")
    assert "the encoding is UTF-16, it must be UTF-8" in line
