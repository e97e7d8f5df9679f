"""Audio without a keyword is rejected, and the report counts what is accepted and missed."""

import json

import numpy as np
import pytest
import soundfile
import torch

from earbit.audio.decode import read_audio
from earbit.audio.other_audio import noises
from earbit.export.verb import export_model
from earbit.heads.head import HeadShape
from earbit.heads.linear import MeanPoolLinear
from earbit.heads.rejection import KeywordOdds, body_of, with_none, without_none
from earbit.run import run_files
from earbit.runtime import Session
from earbit.superb.head_file import GridPoint, TrainedHead, load_head, save_head
from earbit.superb.ks import KS
from earbit.superb.rejection import add_rejection
from earbit.superb.report import scores_table
from earbit.superb.verb import score_model
from earbit.superb.work import Settings

NOTES_HZ = {"low": 250, "mid": 1_000, "high": 3_500}


@pytest.fixture(scope="module", autouse=True)
def _noises():
    """These tests hear all clips of noise."""


def test_the_threshold_is_half_way_from_the_last_rejected_to_the_next():
    odds = KeywordOdds(
        keywords=[1.0, 4.0, 6.0, -np.inf], others=[3.0, 0.5, 5.0, -np.inf], other_s=1800
    )
    assert odds.threshold(0) == 5.5
    assert odds.threshold(1) == 3.5
    assert odds.threshold(2) == 0.75  # 0.5 is rejected, 1.0 is not
    assert odds.threshold(3) == 0.25  # none but what is less likely than all others together
    assert odds.threshold(1, noise=[4.5]) == 4.75
    assert odds.threshold(0, noise=[9.0]) > 9.0


def test_at_most_one_false_accept_per_hour_where_there_is_an_hour_and_equal_error_elsewhere():
    """In 3 h, three of [9, 8, 7, 6] may be accepted.  In half an hour, 4.0 accepts one of four and
    misses none, and the next threshold, 9.25, accepts none and misses two of four."""
    odds = KeywordOdds(keywords=[5.0, 8.5, 9.5, 10.0], others=[9.0, 1.0, 3.0, 2.0], other_s=1800)
    assert odds.pick(1.0) == ("equal error, at least 0.5", 4.0)
    longer = KeywordOdds(keywords=[5.0, 10.0], others=[9.0, 8.0, 7.0, 6.0], other_s=3 * 3600)
    assert longer.pick(1.0) == ("at most 1 false accepts per hour", 6.5)
    longer.noise = [9.5]
    assert longer.pick(1.0)[1] == 9.75
    assert KeywordOdds(keywords=[1.0]).pick(1.0) == ("equal error, at least 0.5", 0.5)
    # Without keywords nothing is missed, so no other audio is accepted.
    rule, least = KeywordOdds(others=[2.0, 1.0], other_s=60).pick(1.0)
    assert rule == "equal error, at least 0.5"
    assert least > 2.0


def test_the_score_of_no_keyword_learns_a_direction_and_leaves_the_others_as_they_are():
    """Keywords lie in the first two dimensions, other audio far out in the third."""
    torch.manual_seed(0)
    head = MeanPoolLinear(HeadShape(n_states=2, width=3, n_outputs=2, d_hidden=3))
    keywords = torch.eye(3)[[0, 1] * 20] + 0.1 * torch.randn(40, 3)
    others = 9 * torch.eye(3)[[2] * 40] + 0.1 * torch.randn(40, 3)
    body = body_of(head)
    length = torch.ones(40, dtype=torch.long)

    def through(module, x_ND):
        return module(x_ND[None, :, None].expand(2, -1, -1, -1), length).detach()

    targets = torch.tensor([0, 1] * 20)
    groups = [(through(body, keywords), targets), (through(body, others), torch.full((40,), 2))]
    wide = with_none(head, groups)
    for x in (keywords, others):
        assert torch.equal(through(wide, x)[:, :2], through(head, x))
        assert torch.equal(through(without_none(wide), x), through(head, x))
    assert (through(wide, others).argmax(1) == 2).all()
    assert (through(wide, keywords).argmax(1) < 2).all()


def test_an_operating_point_by_hand():
    """Of 4 keywords, 1.0 and -inf are below 3.5; of 4 others in half an hour, one is above."""
    odds = KeywordOdds(
        keywords=[1.0, 4.0, 6.0, -np.inf],
        others=[3.0, 0.5, 5.0, -np.inf],
        noise=[3.5, 2.0],
        other_s=1800,
    )
    point = odds.at(3.5)
    assert point["misses"] == 0.5
    assert point["false_accepts_per_hour"] == 2.0
    assert point["noise_accepted"] == 1
    assert point["threshold"] == pytest.approx(1 / (1 + np.exp(-3.5)))
    assert KeywordOdds(keywords=[1.0]).at(0.5)["false_accepts_per_hour"] is None


def test_generated_noise_has_silence_and_every_level():
    clips = list(noises(1_001, 100, seed=0))
    assert {len(clip) for clip in clips} == {500, 1_001, 2_002}
    peaks = [float(np.abs(clip).max()) for clip in clips]
    assert peaks[:3] == [0, 0, 0]
    assert 0 < min(peaks[3:]) < 1e-3
    assert 0.5 < max(peaks) <= 1
    assert all(clip.dtype == np.float32 for clip in clips)


def other_tone(i, n=6_400):
    """Two gliding tones, which no note is."""
    t_s = np.arange(n) / 16_000
    return 0.2 * np.sin(2 * np.pi * (600 + 90 * i) * t_s**2) + 0.2 * np.sin(9_000 * t_s)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Notes of six speakers, and clips without a note whose text says so."""
    root = tmp_path_factory.mktemp("notes")
    random = np.random.default_rng(0)
    t_s = np.arange(6_400) / 16_000
    lines = []

    def add(name, audio, **fields):
        soundfile.write(
            root / f"{name}.wav", audio + 0.01 * random.standard_normal(len(audio)), 16_000
        )
        lines.append({"id": name, "path": f"{name}.wav", **fields})

    splits = {"anna": "train", "ben": "train", "cleo": "train", "eve": "valid", "fay": "test"}
    for speaker, split in splits.items():
        for note, hz in NOTES_HZ.items():
            for i in range(2):
                tone = 0.3 * np.sin(2 * np.pi * hz * t_s)
                name = f"{speaker}-{note}-{i}"
                add(name, tone, speaker=speaker, split=split, keyword=note, text=note)
        for i in range(3):
            text = "a glide" if i else "a low glide"
            add(
                f"{speaker}-glide-{i}",
                other_tone(i, 16_000),
                speaker=speaker,
                split=split,
                text=text,
            )
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


@pytest.fixture(scope="module")
def scored(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "ks"
    settings = Settings(protocol="proxy", n_steps=60)
    (score,) = score_model("hubert-tiny", ("ks",), (str(folder),), out, settings=settings, seed=0)
    export_model("hubert-tiny", out.parent / "p.safetensors", head=out)
    return score, out


def test_scores_json_has_hours_false_accepts_misses_and_the_curve(scored):
    score, out = scored
    written = json.loads((out / "scores.json").read_text())["rejection"]
    assert written == json.loads(json.dumps(score["rejection"]))
    valid, test = written["valid"], written["test"]
    # A speaker has 2 glides of 1 s without the word "low".  Of their windows, the last has 0.2 s.
    assert valid["hours_without_keyword"] == pytest.approx(2 / 3600)
    assert test["hours_without_keyword"] == pytest.approx(2 / 3600)
    assert (valid["n_keywords"], test["n_keywords"]) == (6, 6)
    assert valid["false_accepts_per_hour"] == 0
    assert valid["noise_accepted"] == 0
    assert valid["threshold"] == written["test"]["threshold"] >= 0.5
    rates = [point["false_accepts_per_hour"] for point in written["points"]]
    misses = [point["misses"] for point in written["points"]]
    assert rates == sorted(rates)
    assert misses == sorted(misses, reverse=True)
    table = scores_table([score])
    assert "false accepts per hour in 0.00 h of other audio" in table
    misses = f"{100 * written['test']['misses']:.2f}"
    assert f"picked on the validation part: {written['rule']}) are rejected" in table
    assert f"rejected; on the test part: {misses} % misses" in table


def test_the_threshold_is_that_of_the_head_and_of_the_program(scored):
    score, out = scored
    least = load_head(out).min_log_odds
    assert least == score["rejection"]["valid"]["log_odds"]
    session = Session(out.parent / "p.safetensors")
    assert session.head.min_log_odds == least
    assert session.threshold == score["rejection"]["valid"]["threshold"]


def test_silence_noise_and_other_audio_have_no_label_and_keywords_have_theirs(
    scored, folder, tmp_path
):
    _, out = scored
    program = out.parent / "p.safetensors"
    session = Session(program)
    silence = np.zeros(8_000, np.float32)
    assert session.label(silence, threshold=0) in NOTES_HZ  # that is what rejection is for
    random = np.random.default_rng(9)
    hiss = [(level * random.standard_normal(6_400)).astype(np.float32) for level in (1e-3, 3e-2)]
    for audio in (silence, *hiss, other_tone(1).astype(np.float32)):
        assert session.label(audio) is None
    for note in NOTES_HZ:
        assert session.label(read_audio(folder / f"fay-{note}-0.wav")) == note
    soundfile.write(tmp_path / "silence.wav", silence, 16_000)
    (entry,) = run_files(program, [tmp_path / "silence.wav"], None)
    assert entry["label"] is None
    assert entry["rejected"] in NOTES_HZ


@pytest.mark.slow
def test_on_synthetic_speech_silence_noise_and_sentences_are_rejected(tmp_path):
    settings = Settings(protocol="proxy")
    (score,) = score_model(
        "hubert-tiny", ("ks",), ("synthetic",), tmp_path / "ks", settings=settings, seed=0
    )
    valid, test = score["rejection"]["valid"], score["rejection"]["test"]
    assert score["rejection"]["rule"] == "no noise or silence accepted"
    assert valid["hours_without_keyword"] > 0.02
    assert valid["noise_accepted"] == 0
    assert test["noise_accepted"] <= 3  # of 60
    assert test["false_accepts"] / test["n_others"] < 1 - test["misses"]


def test_labels_without_a_keyword_have_no_threshold(tmp_path, capsys):
    head = MeanPoolLinear(HeadShape(n_states=2, width=3, n_outputs=2, d_hidden=3))
    point = GridPoint(lr=1e-3, value=0.5, step=1, n_skipped=0)
    slots = (("_silence_", "_unknown_"),)
    trained = TrainedHead(task=KS, head=head, slots=slots, model_digest="m", point=point)
    save_head(tmp_path / "head.safetensors", trained)
    score = {"task": "ks", "value": 0.5}
    nothing: dict = dict.fromkeys(("upstream", "features", "corpus", "splits", "load"))
    assert add_rejection(score, tmp_path, **nothing) == score
    assert "no rejection threshold: no label is a keyword" in capsys.readouterr().err
