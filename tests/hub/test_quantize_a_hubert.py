"""The guide for owners of a HuBERT, with a small random one that transformers saved."""

import importlib.util
import json
from pathlib import Path

import pytest
from test_hugging_face_families import random_twin

from earbit.cli.main import main

GUIDE = Path(__file__).parents[2] / "examples" / "quantize_a_hubert.py"


def example():
    spec = importlib.util.spec_from_file_location("quantize_a_hubert", GUIDE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_8_bits_are_calibrated_on_a_corpus_in_one_command(melodies, tmp_path, capsys):
    random_twin("hubert").save_pretrained(tmp_path / "theirs")
    main(["import", str(tmp_path / "theirs"), "--out", str(tmp_path / "ours")])
    out = tmp_path / "hubert.safetensors"
    command = ["export", str(tmp_path / "ours"), "--plan", "w8a8", "--corpus", str(melodies)]
    main([*command, "--out", str(out)])
    told = capsys.readouterr()
    assert "against the float model on the clips that calibrated it: output cosine 0.99" in told.out
    assert f"calibrated on 16 clips of {melodies}" in told.err
    main([*command, "--out", str(out), "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert result["float_cosine"] > 0.99
    assert result["agreement"]["bit_agreement"] > 0.999


def test_a_corpus_without_a_plan_is_refused(melodies, tmp_path, capsys):
    out = str(tmp_path / "x.safetensors")
    with pytest.raises(SystemExit) as end:
        main(["export", "hubert-tiny", "--corpus", str(melodies), "--out", out])
    assert end.value.code == 2
    assert "--corpus without --plan; it calibrates a plan" in capsys.readouterr().err


def test_the_example_is_short():
    assert len(GUIDE.read_text().splitlines()) < 60


@pytest.mark.slow
def test_the_example_goes_from_a_folder_of_transformers_to_a_spotter(tmp_path):
    random_twin("hubert").save_pretrained(tmp_path / "theirs")
    program = example().run(
        str(tmp_path / "theirs"), "synthetic", tmp_path / "out", ["w8a8", "w4a4"], 2, "ks"
    )
    from earbit import Session

    assert Session(program).kind == "class"
