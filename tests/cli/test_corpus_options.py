"""Options about corpora, from the command line to the files that come of them."""

import json
import sys

import numpy as np
import pytest
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


def test_units_of_a_manifest_with_wrong_lengths_are_refused_with_the_right_length(tmp_path, capsys):
    root = write(tmp_path / "audio")
    fields = (
        {"num_samples": 1_000, "sample_rate": RATE_HZ},
        {"num_samples": 1_000, "sample_rate": RATE_HZ},
        {},
    )
    lines = [json.dumps({"path": f"{i}.wav", **of_clip}) for i, of_clip in enumerate(fields)]
    (root / "manifest.jsonl").write_text("\n".join(lines))
    line = fails(capsys, "units", root, "--n-units", 4, "--out", tmp_path / "o")
    assert "1 of 1 clips are of 0.205 s or more; at least two are needed" in line
    assert "(2 files or lines rejected, the first: manifest.jsonl:1: 0.wav: " in line
    assert "`num_samples` is 1000, the file has 16000 samples at 16 kHz; write 16000" in line


def test_prepare_with_resplit_shows_what_tasks_can_use_then(tmp_path, capsys):
    root = write(tmp_path / "audio", n=6)
    lines = [
        {"path": f"{i}.wav", "keyword": "yes" if i % 2 else "no", "speaker": i, "split": "test"}
        for i in range(6)
    ]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    args = ["prepare", "folder", "--root", str(root), "--out", str(tmp_path / "o"), "--json", "-"]
    main(args)
    refused = json.loads(capsys.readouterr().out)["tasks_without_labels"]["ks"]
    assert refused.endswith("--resplit ignores `split` and draws new splits")
    main([*args, "--resplit"])
    assert "ks" in json.loads(capsys.readouterr().out)["tasks"]


@pytest.mark.parametrize("name", ["study.json", "model.safetensors", "notes.txt"])
def test_prepare_does_not_write_beside_files_of_others(name, tmp_path, capsys):
    root, out = write(tmp_path / "audio"), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    line = fails(capsys, "prepare", "folder", "--root", root, "--out", out)
    assert f"{out}: holds other files ({name}); give a new or an empty folder as --out" in line
    assert [path.name for path in out.iterdir()] == [name]


def test_prepare_replaces_its_own_report(tmp_path, capsys):
    args = [
        "prepare",
        "folder",
        "--root",
        str(write(tmp_path / "audio")),
        "--out",
        str(tmp_path / "o"),
    ]
    main(args)
    report = json.loads(capsys.readouterr().out)
    main(args)
    assert json.loads(capsys.readouterr().out) == report


def test_prepare_and_units_print_text_on_a_terminal_and_json_elsewhere(
    tmp_path, capsys, monkeypatch
):
    root = write(tmp_path / "audio")
    prepare = ["prepare", "folder", "--root", str(root), "--out", str(tmp_path / "p")]
    units = ["units", str(root), "--n-units", "4", "--out", str(tmp_path / "u")]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(prepare)
    said = capsys.readouterr().out
    assert said.startswith("audio: 3 utterances, 0.001 hours, unknown speakers, all files usable\n")
    assert f"reasons in {tmp_path / 'p' / 'manifest.json'}" in said
    main(units)
    # 98 frames of 25 ms every 10 ms in a second.
    assert capsys.readouterr().out.startswith(
        "4 units of mfcc at 100 Hz in 3 utterances, 294 frames; "
    )
    file = tmp_path / "units.json"
    main([*units, "--json", str(file)])
    assert capsys.readouterr().out.startswith("4 units of mfcc")
    main([*units, "--json", "-"])
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())


@pytest.mark.parametrize("option", ["--corpus=2024", '--set=corpus="2024"'])
def test_a_folder_whose_name_is_a_number_is_a_corpus(tmp_path, monkeypatch, option):
    write(tmp_path / "2024")
    monkeypatch.chdir(tmp_path)
    planned = []
    monkeypatch.setattr("earbit.pretrain.plan.plan_run", lambda r, n_ranks: planned.append(r) or {})
    monkeypatch.setattr("earbit.pretrain.plan.render_plan", str)
    main(["pretrain", "hubert-tiny", option, "--out", "out", "--dry-run"])
    assert [recipe.corpus for recipe in planned] == ["2024"]
