"""A text task costs one file and one row of the table: every command serves it at once."""

import json

import numpy as np
import pytest
import soundfile

TASK = """
from earbit.superb.task import Protocol, Task

PROTOCOL = Protocol(lrs=(3e-2,), batch_size=8, n_steps=100, n_checks=3, d_hidden=256)

SAY = Task(
    name="say",
    title="spoken text",
    label="text",
    kind="sequence",
    head="frame_linear",
    metrics=("cer", "wer"),
    published=PROTOCOL,
    proxy=PROTOCOL,
    source="a test",
)
"""
ROW = "IC, SF, ER"
USE = """
import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from earbit.cli.main import main

main(["prepare", "folder", "--root", "notes", "--out", "prepared"])
main(["superb", "hubert-tiny", "--task", "say", "--data", "notes", "--out", "say"])
program = "say.safetensors"
main(["export", "hubert-tiny", "--head", "say", "--out", program, "--json", "report.json"])
main(["run", program, "notes/fay-0.wav", "--json", "run.json"])

from earbit.load import preset_or_model
from earbit.runtime import Session
from earbit.superb.head_file import load_head

waveform, _ = soundfile.read("notes/fay-0.wav", dtype="float32")
trained, model = load_head("say"), preset_or_model("hubert-tiny", 0).eval()
with torch.no_grad():
    states = torch.stack(list(model(torch.from_numpy(waveform)[None]).states))
    best = trained.head(states, torch.tensor([states.shape[2]]))[0].argmax(1).tolist()
text = "".join(trained.outputs[b] for a, b in zip([0, *best], best) if b and a != b).strip()
Path("texts.json").write_text(
    json.dumps({"session": Session(program).text(waveform), "torch": text})
)
"""
NOTES_HZ = {"a": 250, "b": 1_000, " ": 3_500}
SPEAKERS = {"anna": "train", "ben": "train", "cleo": "train", "eve": "valid", "fay": "test"}


def _write_notes(folder):
    folder.mkdir()
    random = np.random.default_rng(0)
    t_s = np.arange(2_400) / 16_000
    lines = []
    for speaker, split in SPEAKERS.items():
        for i in range(6):
            text = "a" + "".join(random.choice(["a", "b", " a", " b"], size=2))
            notes = [0.3 * np.sin(2 * np.pi * NOTES_HZ[c] * t_s) for c in text]
            silence = np.zeros(1_600)
            wave = np.concatenate([part for note in notes for part in (silence, note)] + [silence])
            path = folder / f"{speaker}-{i}.wav"
            soundfile.write(path, wave + 0.003 * random.standard_normal(wave.size), 16_000)
            fields = {"speaker": speaker, "text": text, "split": split}
            lines.append(json.dumps({"path": path.name, **fields}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))


def test_a_text_task_of_one_file_and_one_row_is_prepared_trained_packed_and_run(
    package_copy,
):
    pytest.importorskip("jiwer")
    package_copy.add_file("superb/say.py", TASK)
    row = ", SAY"
    package_copy.add_row("superb/tasks.py", ROW, row, "from earbit.superb.say import SAY\n")
    folder = package_copy.folder
    _write_notes(folder / "notes")
    stdout = package_copy.run(USE)
    assert "say" in json.loads((folder / "prepared" / "manifest.json").read_text())["tasks"]
    score = json.loads((folder / "say" / "scores.json").read_text())
    assert (score["task"], score["metric"]) == ("say", "cer")
    assert score["value"] == score["metrics"]["cer"] < 1
    packed = json.loads((folder / "report.json").read_text())["head"]
    assert packed["kind"] == "sequence"
    assert packed["label"] == packed["torch_label"]
    texts = json.loads((folder / "texts.json").read_text())
    assert texts["torch"]
    assert texts["session"] == texts["torch"]
    (entry,) = json.loads((folder / "run.json").read_text())
    assert entry["text"] == texts["torch"]
    assert texts["torch"] in stdout
