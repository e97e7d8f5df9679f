"""A training gives the same bits from files and shards, with and without worker processes."""

import json
from pathlib import Path

import pytest
from lhotse import CutSet, Recording

from earbit.audio.prepare import prepare
from earbit.encoders.transformer import TransformerConfig
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.machine import Machine
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import pretrain

ENCODER = TransformerConfig(
    n_layers=1, d_model=32, n_heads=2, d_ffn=64, position_kernel=16, layer_drop=0.0
)
MODEL = ModelConfig(encoder=ENCODER, front_end=FrontEndConfig(n_channels=32))


def recipe(corpus, **machine):
    return RecipeConfig(
        model=MODEL,
        train=TrainConfig(
            optimiser=OptimiserConfig(peak_lr=4e-3, n_steps=3, warmup_steps=1),
            batch_s=4.0,
            crop_s=0.9,
            log_every_steps=1,
            machine=Machine(**machine),
        ),
        corpus=str(corpus),
        n_units=4,
    )


def result_of(corpus, out, **machine):
    pretrain(recipe(corpus, **machine), out)
    lines = (out / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    return losses, (out / "checkpoints" / "step-00000003" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def from_files(melodies, tmp_path_factory):
    return result_of(melodies, tmp_path_factory.mktemp("files") / "run")


@pytest.mark.parametrize(
    "machine",
    [{"workers": 2}, {"workers": 0, "keep_in_memory_gb": 0.0}],
    ids=["workers", "decoded each time"],
)
def test_where_clips_are_decoded_changes_no_bit(melodies, from_files, tmp_path, machine):
    assert result_of(melodies, tmp_path / "run", **machine) == from_files


def test_shards_train_to_the_same_bits_as_files(melodies, from_files, tmp_path):
    prepare(str(melodies), tmp_path / "prepared", tasks={}, shard_mb=1.0)
    assert result_of(tmp_path / "prepared" / "shards", tmp_path / "run") == from_files


def test_parts_of_a_long_recording_are_trained_on(melodies, tmp_path):
    paths = sorted(melodies.glob("*.wav"))[:6]
    cuts = [
        Recording.from_file(path).to_cut().truncate(offset=offset, duration=0.7)
        for path in paths
        for offset in (0.0, 1.0)
    ]
    named = [cut.with_id(f"part{i}") for i, cut in enumerate(cuts)]
    (tmp_path / "corpus").mkdir()
    CutSet.from_cuts(named).to_file(Path(tmp_path / "corpus" / "cuts.jsonl.gz"))
    losses, _ = result_of(tmp_path / "corpus" / "cuts.jsonl.gz", tmp_path / "run")
    assert len(losses) == 3
