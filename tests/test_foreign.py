"""A model of another program is called by its name, from a command and from Python."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from earbit.cli.main import main
from earbit.errors import FormatError
from earbit.foreign import foreign_kind
from earbit.load import load_model, random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.units.kmeans import KMeans


def in_memory(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def tar_of_one_file(buffer):
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model_config.yaml"))


def zip_with(*names):
    def write(buffer):
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return in_memory(write)


TENSORS = {"weight": torch.ones(2)}
FOREIGN = {
    "a PyTorch checkpoint": in_memory(lambda b: torch.save(TENSORS, b)),
    "a PyTorch checkpoint (a pickle)": in_memory(
        lambda b: torch.save(TENSORS, b, _use_new_zipfile_serialization=False)
    ),
    "a TorchScript program": zip_with("m/data.pkl", "m/code/m.py", "m/constants.pkl"),
    "a Python pickle": pickle.dumps({"model": 1}),
    "a NumPy archive (.npz)": in_memory(lambda b: np.savez(b, a=np.ones(2))),
    "a NumPy array": in_memory(lambda b: np.save(b, np.ones(2))),
    "a zip archive": zip_with("readme.txt"),
    "a tar archive": in_memory(tar_of_one_file),
    "a gzip archive": gzip.compress(b"x"),
    # ModelProto: ir_version = 8, producer_name = "pytorch".
    "an ONNX model": b"\x08\x08\x12\x07pytorch",
    "a GGUF model": b"GGUF\x03\x00\x00\x00",
    # FlatBuffers: the offset of the root, then the file identifier.
    "a TensorFlow Lite model": b"\x1c\x00\x00\x00TFL3\x00\x00",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n\x00",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "a web page": b"\n<!DOCTYPE html>\n<html></html>",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_is_recognised_by_what_is_in_it(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(FOREIGN[kind])
    assert foreign_kind(path).startswith(kind)
    with pytest.raises(
        FormatError,
        match=r"; give a model folder.*`earbit import` reads HuBERT",
    ):
        load_model(path)


def hugging_face_folder(folder, weights="model.safetensors"):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "hubert", "hidden_size": 768}))
    save_file({"hubert.encoder.layers.0.weight": torch.ones(2)}, folder / weights, {"format": "pt"})
    return folder


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_transformers_says_its_type(weights, tmp_path, capsys):
    folder = hugging_face_folder(tmp_path / "hf", weights)
    for args in (
        ["run", str(folder), "x.wav"],
        ["export", str(folder), "--plan", "w1a1", "--out", str(tmp_path / "x.safetensors")],
        ["bench", str(folder), "--plan", "w1a1"],
        ["bench", str(folder)],
        ["profile", str(folder)],
        ["quantize", str(folder), "--out", str(tmp_path / "o")],
    ):
        with pytest.raises(SystemExit) as end:
            main(args)
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{folder}: a Hugging Face model of type 'hubert'; give" in line
        assert "earbit export" not in line.replace("that `earbit export` wrote", "")
    assert {path.name for path in tmp_path.iterdir()} == {"hf"}


def test_a_checkpoint_in_the_place_of_a_program_is_named(tmp_path, capsys):
    path = tmp_path / "hubert.pt"
    torch.save(TENSORS, path)
    for args in (["run", str(path), "x.wav"], ["bench", str(path)], ["profile", str(path)]):
        with pytest.raises(SystemExit) as end:
            main(args)
        assert end.value.code == 2
        assert f"{path}: a PyTorch checkpoint; give" in capsys.readouterr().err


def test_safetensors_of_another_program_are_told_from_those_of_earbit(tmp_path):
    save_file(TENSORS, tmp_path / "other.safetensors", {"format": "pt"})
    assert (
        foreign_kind(tmp_path / "other.safetensors")
        == "a safetensors file without metadata of earbit"
    )
    save_model(random_model(preset("hubert-tiny"), 0), tmp_path / "model.safetensors", {})
    KMeans(np.zeros((2, 3), np.float32)).save(tmp_path / "kmeans.safetensors")
    for name in ("model", "kmeans"):
        assert foreign_kind(tmp_path / f"{name}.safetensors") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"not a model", b"PK\x03\x04 cut", (9).to_bytes(8, "little") + b"{"]
    + [(2).to_bytes(8, "little") + b"[]", (2**60).to_bytes(8, "little") + b"{}"]
    + [(22).to_bytes(8, "little") + b'{"__metadata__": "say"}'],
)
def test_what_is_damaged_is_for_its_reader_to_judge(content, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert foreign_kind(path) is None
    assert foreign_kind(tmp_path) is None
    assert foreign_kind(tmp_path / "nothing") is None
