"""`earbit units` never replaces units: equal ones are kept, and other folders are refused."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from earbit.errors import ConfigError
from earbit.units.labelled import LABELS, copy_units
from earbit.units.labels import UnitLabels
from earbit.units.verb import units

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


def run(corpus, out, n_units=4, seed=0, **options):
    return units(str(corpus), out, n_units=n_units, seed=seed, **options)


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
    ],
)
def test_units_of_other_parameters_are_refused_before_audio_is_read(
    corpus, tmp_path, options, difference, monkeypatch
):
    out = tmp_path / "units"
    run(corpus, out)
    before = contents(out)
    monkeypatch.setattr("earbit.units.verb.training_corpus", None)
    with pytest.raises(ConfigError, match=f"{difference}; give another --out"):
        run(corpus, out, **options)
    assert contents(out) == before


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
    units(str(corpus), made, n_units=4, seed=0)
    given.mkdir()
    (made / LABELS).rename(given / LABELS)
    copy_units(given, into)
    assert [path.name for path in into.iterdir()] == [LABELS]
    assert UnitLabels.load(into / LABELS).digest == UnitLabels.load(given / LABELS).digest
