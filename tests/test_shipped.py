"""Programs that come with earbit: found by name, and described in their card."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.cli.bench_programs import check_programs, programs_of
from earbit.errors import ConfigError, FormatError
from earbit.run import run_files
from earbit.runtime.program_file import file_digest
from earbit.runtime.session import Session
from earbit.shipped import FOLDER, program_path, shipped_programs

CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
NAMES = shipped_programs()


def test_there_are_programs_and_they_are_small_enough_for_the_wheel() -> None:
    assert NAMES
    assert sum(program_path(name).stat().st_size for name in NAMES) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_a_program_by_its_digest(name: str) -> None:
    assert f"`{name}`" in CARD
    assert file_digest(program_path(name)) in CARD


@pytest.mark.parametrize("name", NAMES)
def test_a_program_runs_by_its_name(name: str, tmp_path: Path) -> None:
    audio = tmp_path / "noise.wav"
    noise = 0.01 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(audio, noise.astype(np.float32), 16_000)
    (record,) = run_files(Path(name), [audio], None)
    assert "error" not in record


def test_silence_is_no_keyword() -> None:
    session = Session("keywords-w1a1")
    random = np.random.default_rng(0)
    for level in (1e-4, 1e-3):
        noise = (level * random.standard_normal(16_000)).astype(np.float32)
        assert session.label(noise) in (None, "_silence_", "_unknown_")


def test_a_file_in_the_folder_comes_before_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program_path("keywords-w1a1").parent == FOLDER
    Path("keywords-w1a1").write_text("mine")
    assert program_path("keywords-w1a1") == Path("keywords-w1a1")
    with pytest.raises(FormatError, match="keywords-w1a1"):
        Session("keywords-w1a1")


def test_a_folder_of_other_files_does_not_hide_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keywords-w1a1").mkdir()
    assert Session("keywords-w1a1").path.parent == FOLDER
    check_programs("keywords-w1a1", (), ())
    with programs_of("keywords-w1a1", (), 0, ()) as (programs, _):
        assert programs == {"": program_path("keywords-w1a1")}
    (Path("keywords-w1a1") / "model.safetensors").touch()
    assert program_path("keywords-w1a1") == Path("keywords-w1a1")
    with pytest.raises(FormatError, match="`earbit export keywords-w1a1 --out"):
        Session("keywords-w1a1")


@pytest.mark.parametrize("word", ["keywords-w1a1.safetensors", "Keywords-w1a1", "keywords-w1a2"])
def test_a_mistyped_name_is_answered_with_that_of_the_program(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as error:
        Session(word)
    assert str(error.value) == (
        f"{word}: no such file; did you mean keywords-w1a1, a program that comes with earbit"
    )
    Path(f"{word}x").touch()
    with pytest.raises(FormatError, match=f"with earbit; near names there: {word}x$"):
        Session(word)
    with pytest.raises(FormatError, match="no such file; check the path"):
        Session(tmp_path / "folder" / word)


def test_bench_refuses_a_seed_for_a_program() -> None:
    with pytest.raises(ConfigError, match="--seed 2 without --plan"):
        check_programs("keywords-w1a1", (), (), 2)


def test_digests_in_the_card_are_all_of_programs() -> None:
    digests = {file_digest(program_path(name)) for name in NAMES}
    assert set(re.findall(r"\b[0-9a-f]{64}\b", CARD)) == digests
