"""`earbit units` never replaces units: equal ones are kept, and other folders are refused."""

import dataclasses
import json
import subprocess
import sys
import zipfile
from functools import partial

import numpy as np
import pytest
import soundfile

from earbit.cli.pretraining import units as command
from earbit.errors import ConfigError, DataError, FormatError
from earbit.pretrain.unit_verb import Clustered, units_of
from earbit.units.discover import LABELS, UnitConfig
from earbit.units.labelled import copy_units, labelled, open_training_corpus, training_data
from earbit.units.labels import UnitLabels
from earbit.units.quarantine import lost_ids
from earbit.units.verb import units, units_of_labels

RATE_HZ = 16_000


def write(root, seed=0):
    root.mkdir()
    random = np.random.default_rng(seed)
    for i in range(3):
        soundfile.write(root / f"{i}.wav", 0.1 * random.normal(size=RATE_HZ), RATE_HZ)
    return root


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path / "audio")


def run(corpus, out, n_units=4, seed=0, source=None, resplit=False, **options):
    config = UnitConfig(n_units=n_units, seed=seed, **options)
    opened = partial(open_training_corpus, str(corpus), resplit=resplit)
    return units(str(corpus), out, config, source, opened=opened)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_command_keeps_the_units_and_returns_their_report(corpus, tmp_path, capsys):
    out = tmp_path / "units"
    first = run(corpus, out)
    before = contents(out)
    assert run(corpus, out) == first == json.loads(before["units.json"])
    assert contents(out) == before
    assert set(before) == {"labels.safetensors", "kmeans.safetensors", "units.json"}
    assert f"{out}: holds these units already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"n_units": 5}, "holds 4 units of seed 0, requested: 5 of seed 0"),
        ({"seed": 3}, "holds 4 units of seed 0, requested: 4 of seed 3"),
        ({"fraction": 0.5}, "holds units with fraction=1, requested: 0.5"),
        ({"memory_gb": 2.0}, "holds units with memory_gb=1, requested: 2"),
    ],
)
def test_units_of_other_parameters_are_refused_before_audio_is_read(
    corpus, tmp_path, options, difference, monkeypatch
):
    out = tmp_path / "units"
    run(corpus, out)
    before = contents(out)
    monkeypatch.setattr("earbit.units.verb.open_training_corpus", None)
    with pytest.raises(ConfigError, match=f"{difference}; give another --out"):
        run(corpus, out, **options)
    assert contents(out) == before


def test_the_default_fraction_is_compared_with_that_of_the_units(corpus, tmp_path):
    out = tmp_path / "units"
    run(corpus, out, fraction=0.5)
    before = contents(out)
    with pytest.raises(ConfigError, match=r"holds units with fraction=0.5, requested: 1; give"):
        run(corpus, out)
    opened = open_training_corpus(str(corpus))
    with pytest.raises(ConfigError, match=r"holds units with fraction=0.5, requested: 1; give"):
        training_data(str(corpus), opened, out, UnitConfig(n_units=4))
    assert contents(out) == before
    assert run(corpus, out, fraction=0.5) == json.loads(before["units.json"])


def test_units_of_another_feature_are_refused(corpus, tmp_path):
    out = tmp_path / "units"
    run(corpus, out)
    labels = UnitLabels.load(out / "labels.safetensors")
    header = dataclasses.replace(labels.header, feature="hidden", layer=2)
    dataclasses.replace(labels, header=header).save(out / "labels.safetensors")
    with pytest.raises(ConfigError, match="holds units of the feature hidden, requested: mfcc"):
        run(corpus, out)


def test_units_of_another_corpus_are_refused_and_its_quarantine_is_not_written(corpus, tmp_path):
    out = tmp_path / "units"
    run(corpus, out)
    before = contents(out)
    (corpus / "0.wav").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="holds units of another corpus"):
        run(corpus, out)
    assert contents(out) == before


def test_a_folder_with_other_files_is_refused_like_that_of_a_run(corpus, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"holds other files \(model.safetensors\)"):
        run(corpus, out)
    with pytest.raises(ConfigError, match="holds other files"):
        run(corpus, corpus)
    assert list(out.iterdir()) == [out / "model.safetensors"]


def test_units_without_labels_are_of_an_interrupted_command_and_are_made_anew(corpus, tmp_path):
    out = tmp_path / "units"
    whole = run(corpus, out)
    (out / "labels.safetensors").unlink()
    assert run(corpus, out) == whole
    assert (out / "labels.safetensors").exists()


def test_labels_of_another_program_are_copied_without_a_k_means_model(corpus, tmp_path):
    made, given, into = (tmp_path / name for name in ("made", "given", "into"))
    run(corpus, made)
    given.mkdir()
    (made / LABELS).rename(given / LABELS)
    copy_units(given, into)
    assert [path.name for path in into.iterdir()] == [LABELS]
    assert UnitLabels.load(into / LABELS).digest == UnitLabels.load(given / LABELS).digest


def labels_of(corpus, seed=0, n_units=5, rate_hz=50):
    """Labels of another program: one per frame of 20 ms of one second."""
    random = np.random.default_rng(seed)
    names = [path.stem for path in sorted(corpus.glob("*.wav"))]
    return {name: random.integers(n_units, size=rate_hz - 1).astype(np.int16) for name in names}


def take(corpus, file, out, n_units=None, rate_hz=50.0):
    return units_of_labels(str(corpus), out, file, n_units=n_units, rate_hz=rate_hz)


def test_labels_of_another_program_are_taken_by_id_or_by_corpus_and_id(corpus, tmp_path):
    rows = labels_of(corpus)
    np.savez(tmp_path / "a.npz", **rows)
    np.savez(tmp_path / "b.npz", **{f"audio/{name}": row for name, row in rows.items()})
    for name in "ab":
        report = take(corpus, tmp_path / f"{name}.npz", tmp_path / name)
        labels = UnitLabels.load(tmp_path / name / LABELS)
        assert {n: row.tolist() for n, row in labels.by_id.items()} == {
            n: row.tolist() for n, row in rows.items()
        }
        assert (report["feature"], report["rate_hz"], report["n_units"]) == ("given", 50, 5)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"rate_hz": 100}, {}, "labels for 1.98 s at 50 Hz, audio of 1.00 s"),
        ({}, {"n_units": 6}, "5 of 6 units occur in this corpus"),
        ({}, {"n_units": 4}, "label 4 and --n-units 4"),
        ({"n_units": 1}, {}, "1 of 1 units found"),
    ],
)
def test_labels_of_another_rate_or_number_are_refused_before_training(
    corpus, tmp_path, change, options, message
):
    np.savez(tmp_path / "labels.npz", **labels_of(corpus, **change))
    with pytest.raises(DataError, match=message):
        take(corpus, tmp_path / "labels.npz", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_labels_that_lack_a_clip_or_are_no_numbers_are_refused(corpus, tmp_path):
    file, out = tmp_path / "labels.npz", tmp_path / "out"
    rows = labels_of(corpus)
    np.savez(file, **{name: row for name, row in rows.items() if name != "1"})
    with pytest.raises(DataError, match="no labels for 1 clips, the first is '1'.*audio/ID"):
        take(corpus, file, out)
    np.savez(file, **{name: row.astype(float) for name, row in rows.items()})
    with pytest.raises(DataError, match=r"labels of '0' are float64\(49,\)"):
        take(corpus, file, out)
    file.write_bytes(b"not a zip")
    with pytest.raises(FormatError, match="not a readable .npz file"):
        take(corpus, file, out)


def test_a_damaged_file_has_no_units_and_is_listed_with_its_id(corpus, tmp_path, capsys):
    whole = (corpus / "1.wav").read_bytes()
    # Its header promises a second, so it is found only when it is decoded.
    (corpus / "1.wav").write_bytes(whole[: len(whole) // 2])
    (corpus / "manifest.jsonl").write_text(
        "".join(
            json.dumps(
                {"id": f"{i}", "path": f"{i}.wav", "num_samples": RATE_HZ, "sample_rate": RATE_HZ}
            )
            + "\n"
            for i in range(3)
        )
    )
    # An interrupted labelling that found other clips unreadable, which are readable now.
    (tmp_path / "units").mkdir()
    list_path = tmp_path / "units" / "quarantine.jsonl"
    list_path.write_text('{"id": "0", "path": "0.wav", "reason": "0.wav: disk"}\n')
    run(corpus, tmp_path / "units")
    entries = [json.loads(line) for line in list_path.open("rb")]
    labels = UnitLabels.load(tmp_path / "units" / LABELS)
    assert [entry["id"] for entry in entries] == ["1"]
    assert list(labels.by_id) == ["0", "2"]
    assert "1 clip has no units" in capsys.readouterr().err
    data = labelled(open_training_corpus(str(corpus)), labels, lost_ids(tmp_path / "units"))
    assert {*data.train.ids, *data.valid.ids} == {"0", "2"}
    data = labelled(open_training_corpus(str(corpus)), labels, frozenset({"0", "1"}))
    assert {*data.train.ids, *data.valid.ids} == {"0", "2"}
    with pytest.raises(DataError, match="1 utterances have no labels, the first is '1'"):
        labelled(open_training_corpus(str(corpus)), labels)


def test_given_labels_of_another_rate_or_number_and_a_missing_file_are_refused(corpus, tmp_path):
    file, out = tmp_path / "a.npz", tmp_path / "units"
    np.savez(file, **labels_of(corpus))
    take(corpus, file, out)
    before = contents(out)
    with pytest.raises(ConfigError, match="holds 5 units at 50 Hz, requested: 5 at 49.5 Hz"):
        take(corpus, file, out, rate_hz=49.5)
    with pytest.raises(ConfigError, match="holds 5 units at 50 Hz, requested: 7 at 50 Hz"):
        take(corpus, file, out, n_units=7)
    with pytest.raises(ConfigError, match="n_units=0; allowed: 2"):
        take(corpus, file, tmp_path / "other", n_units=0)
    file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        take(corpus, file, out)
    assert contents(out) == before


def test_damaged_labels_of_another_program_are_named(corpus, tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, **labels_of(corpus))
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("1.npy")
    first = entry.header_offset + 30 + len("1.npy") + 20  # an extra field of zip64
    content[first : first + entry.compress_size - 2] = bytes(entry.compress_size - 2)
    file.write_bytes(content)
    with pytest.raises(FormatError, match="labels of '1' are damaged"):
        take(corpus, file, tmp_path / "units")


def test_no_units_at_all_are_refused_instead_of_the_default(corpus, tmp_path):
    with pytest.raises(ConfigError, match="n_units=0; allowed: 2"):
        units_of(str(corpus), tmp_path / "units", Clustered(), n_units=0, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate_hz": 7.0}, "--rate-hz 7.0; it is for --features and --labels, and not for MFCC"),
        ({"device": "cpu"}, "--device cpu; it is for --model, and not for MFCC"),
        ({"layer": "6", "labels": True}, "--layer 6; it is for --model and --features, and not"),
        ({"fraction": 0.5, "labels": True}, "--fraction 0.5; it is for MFCC and --model and"),
    ],
)
def test_an_option_that_the_source_has_no_use_for_is_refused(corpus, tmp_path, options, message):
    if "labels" in options:
        options = {**options, "labels": tmp_path / "labels.npz"}
    with pytest.raises(ConfigError, match=message):
        command(str(corpus), tmp_path / "units", **options)
    assert not (tmp_path / "units").exists()


@pytest.mark.slow
def test_two_ranks_of_torchrun_write_the_labels_of_one_process(corpus, tmp_path):
    run(corpus, tmp_path / "one")
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["earbit", "units", str(corpus), "--n-units", "4", "--out", str(tmp_path / "two")]
    subprocess.run([sys.executable, "-m", *launcher, "-m", *command], check=True)
    one, two = ((tmp_path / name / LABELS).read_bytes() for name in ("one", "two"))
    assert one == two
