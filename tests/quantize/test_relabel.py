"""Units of a known k-means model for another corpus, as quantization needs them."""

import numpy as np
import pytest
import soundfile

from earbit.audio.clips import read_clip
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import DataError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.hidden import hidden_source, hidden_states
from earbit.quantize.relabel import units_for
from earbit.units.discover import LABELS, UnitConfig
from earbit.units.kmeans import KMeans
from earbit.units.labelled import open_training_corpus
from earbit.units.labels import UnitLabels
from earbit.units.mfcc import mfcc
from earbit.units.verb import units

SHAPE = TransformerConfig(n_layers=1, d_model=16, n_heads=2, d_ffn=32, position_kernel=16)
MODEL = ModelConfig(encoder=SHAPE, front_end=FrontEndConfig(n_channels=8))


def corpus(root, seed):
    root.mkdir()
    random = np.random.default_rng(seed)
    for i in range(3):
        soundfile.write(root / f"{i}.wav", 0.1 * random.normal(size=8_000 + 800 * seed), 16_000)
    return root


@pytest.fixture
def corpora(tmp_path):
    return corpus(tmp_path / "a", 0), corpus(tmp_path / "b", 1)


def relabelled(kind, corpora, root):
    """Folders of the units of the first corpus, and of the second corpus."""
    source = None
    if kind == "hidden":
        (root / "1").mkdir(parents=True)
        model = random_model(MODEL, seed=0)
        save_model(model, root / "1" / "model.safetensors", {})
        source = hidden_source(model, 1, device="cpu")
    made = root / "2" / "units"
    units(str(corpora[0]), made, UnitConfig(n_units=4), source)
    other = open_training_corpus(str(corpora[1]))
    return made, units_for(other, made, root / "out", device="cpu"), other


@pytest.mark.parametrize("kind", ["mfcc", "hidden"])
def test_another_corpus_gets_the_units_of_the_same_model(kind, corpora, tmp_path):
    made, found, other = relabelled(kind, corpora, tmp_path / "run")
    kmeans, labels = KMeans.load(made / "kmeans.safetensors"), UnitLabels.load(found / LABELS)
    assert labels.header.kmeans_digest == kmeans.digest
    assert labels.corpus_digest == other.digest
    model = random_model(MODEL, seed=0).eval()
    clips = [*other.train, *other.valid]
    assert sorted(labels.by_id) == sorted(clip.id for clip in clips)
    for clip in clips:
        wave = read_clip(clip)
        features = mfcc(wave) if kind == "mfcc" else hidden_states(model, wave, (1,))[0]
        assert labels.by_id[clip.id].tolist() == kmeans.assign(features).tolist()
    assert units_for(other, made, found, device="cpu") == found
    assert units_for(open_training_corpus(str(corpora[0])), made, found, device="cpu") == made


def test_hidden_units_of_another_corpus_need_their_model(corpora, tmp_path):
    made, _, other = relabelled("hidden", corpora, tmp_path / "run")
    path = tmp_path / "run" / "1" / "model.safetensors"
    save_model(random_model(MODEL, seed=1), path, {})
    with pytest.raises(DataError, match="another model than that of the units"):
        units_for(other, made, tmp_path / "new", device="cpu")
    path.unlink()
    with pytest.raises(DataError, match="need the model of the first iteration"):
        units_for(other, made, tmp_path / "new", device="cpu")
