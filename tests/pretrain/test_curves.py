"""Curves of trainings: what the logs hold is drawn, and a log that is being written can be read."""

import json
import struct
from pathlib import Path

import pytest

from earbit.cli.main import main
from earbit.errors import ConfigError, DataError
from earbit.pretrain.curves import PANELS, curves, read_log, runs_in

PNG = b"\x89PNG\r\n\x1a\n"


def line(step: int, **values) -> str:
    return json.dumps({"step": step, "loss": 5.0 / step, "lr": 1e-3, **values})


def write(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_a_last_line_that_is_being_written_is_left_out(tmp_path):
    write(tmp_path, line(1), line(2))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(line(3)[:20])
    assert [one["step"] for one in read_log(tmp_path / "log.jsonl")] == [1, 2]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    write(tmp_path, line(1), "{half", line(3))
    with pytest.raises(DataError, match=r"log\.jsonl, line 2"):
        read_log(tmp_path / "log.jsonl")


def test_all_runs_below_a_folder_are_found_with_their_last_values(tmp_path):
    write(tmp_path / "1", line(1), line(2, valid_loss=3.0))
    write(tmp_path / "2", line(5, machine={"memory_gb": 2.0}), line(6, skipped=1.0))
    result = curves([tmp_path], None)
    first, second = (result["runs"][str(tmp_path / name)] for name in "12")
    assert (first["step"], first["loss"], first["valid_loss"]) == (2, 2.5, 3.0)
    assert (second["step"], second["machine.memory_gb"], second["skipped"]) == (6, 2.0, 1.0)


def test_the_figure_is_a_png_with_the_panels_that_have_values(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    log = [
        line(s, accuracy=0.1, gradient_norm=1.0, valid_loss=2.0, valid_accuracy=0.2)
        for s in range(1, 400)
    ]
    full, short = write(tmp_path / "full", *log), write(tmp_path / "short", line(1))
    heights = {}
    for name, folders in {"both": [full, short], "one": [short]}.items():
        out = tmp_path / f"{name}.png"
        main(["curves", *map(str, folders), "--out", str(out)])
        content = out.read_bytes()
        assert content.startswith(PNG)
        heights[name] = struct.unpack(">I", content[20:24])[0]
    assert len(PANELS) == 6
    assert heights["both"] > 2 * heights["one"]  # three rows of panels, and one
    assert "2.0" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "named"), [(None, "no log.jsonl in or below it"), ((), "no line yet")]
)
def test_a_folder_without_a_log_is_refused_and_says_what_to_do(lines, named, tmp_path):
    if lines is not None:
        (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(DataError, match=named):
        runs_in(tmp_path)


def test_a_figure_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.pdf: a figure of curves is a \.png"):
        curves([write(tmp_path, line(1))], tmp_path / "a.pdf")
