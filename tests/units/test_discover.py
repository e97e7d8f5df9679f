"""Units of a language of three sounds, whose alignment is known exactly."""

import dataclasses

import numpy as np
import pytest
from language import (
    ALIGNMENTS,
    SPOKEN,
    WAVEFORMS,
    discovered,
    hidden,
)
from sklearn.metrics import adjusted_rand_score

from earbit.errors import DataError
from earbit.units import fit as module
from earbit.units.kmeans import KMeans
from earbit.units.labels import check_labels
from earbit.units.mfcc import mfcc
from earbit.units.sources import mfcc_source


def test_units_of_a_language_of_three_sounds_are_its_sounds():
    _, labels, report = discovered(alignments=ALIGNMENTS)
    # 22 frames of every sound lie within it; the others see a part of its neighbour.
    truth = [sound for sounds in SPOKEN.values() for sound in sounds for _ in range(22)]
    inner = [
        labels.by_id[name][25 * i + 1 : 25 * i + 23]
        for name, sounds in SPOKEN.items()
        for i in range(len(sounds))
    ]
    assert adjusted_rand_score(truth, np.concatenate(inner)) > 0.9
    quality = report["quality"]
    assert quality["pnmi"] > 0.8
    assert quality["phone_purity"] > 0.9
    assert quality["n_dead_units"] == 0


def test_purity_is_best_where_the_alignment_says_not_a_frame_beside_it():
    def purity(shift_s):
        shifted = {
            name: [(sound, max(0, start_s + shift_s), d) for sound, start_s, d in alignment]
            for name, alignment in ALIGNMENTS.items()
        }
        return discovered(alignments=shifted)[2]["quality"]["phone_purity"]

    assert purity(0) > max(purity(-0.0075), purity(0.0075))


def test_every_frame_of_every_clip_is_labelled_by_the_one_model():
    kmeans, labels, _ = discovered(fit_ids=["a", "b"])
    assert set(labels.by_id) == set(WAVEFORMS)
    for name, waveform in WAVEFORMS.items():
        assert labels.by_id[name].tolist() == kmeans.assign(mfcc(waveform)).tolist()
    n_samples = [(name, waveform.size) for name, waveform in WAVEFORMS.items()]
    check_labels(labels, corpus_digest="c0ffee", n_samples=n_samples)


def test_labels_say_what_they_are():
    kmeans, labels, _ = discovered(source=hidden(), n_units=2)
    header = labels.header
    assert header.model_digest == "m0de1"
    assert (header.feature, header.layer, header.rate_hz, header.n_units) == ("hidden", 2, 50, 2)
    assert header.kmeans_digest == kmeans.digest
    assert header.corpus_digest == "c0ffee"


def test_the_model_depends_on_the_fitted_clips_and_on_no_other():
    louder = {**WAVEFORMS, "d": WAVEFORMS["d"] * 3}
    before = discovered(fit_ids=["a", "b", "c"])[0].digest
    assert discovered(louder, fit_ids=["a", "b", "c"])[0].digest == before
    assert discovered(louder)[0].digest != discovered()[0].digest


def test_a_seed_gives_the_same_units_again():
    assert discovered(seed=3)[1].digest == discovered(seed=3)[1].digest


def test_quality_without_alignments_counts_all_frames():
    _, labels, report = discovered()
    assert report["quality"]["n_frames"] == sum(len(row) for row in labels.by_id.values())
    assert "pnmi" not in report["quality"]


@pytest.mark.parametrize(
    ("waveforms", "options"),
    [
        pytest.param({}, {}, id="no-clips"),
        pytest.param(WAVEFORMS, {"fit_ids": []}, id="nothing-to-fit-on"),
        pytest.param(WAVEFORMS, {"n_units": 10_000}, id="more-units-than-frames"),
        pytest.param({"s": np.zeros(300, np.float32)}, {}, id="shorter-than-a-frame"),
    ],
)
def test_too_little_audio_is_refused(waveforms, options):
    with pytest.raises(DataError):
        discovered(waveforms, **options)


def test_the_report_says_what_was_found():
    kmeans, labels, report = discovered(alignments=ALIGNMENTS, seed=5)
    expected = {
        "feature": "mfcc",
        "layer": None,
        "rate_hz": 100,
        "n_units": 3,
        "seed": 5,
        "kmeans_digest": kmeans.digest,
        "corpus_digest": "c0ffee",
        "labels_digest": labels.digest,
        "n_utterances": 4,
        "n_unreadable": 0,
    }
    assert expected.items() <= report.items()


def test_the_order_of_the_clips_does_not_matter():
    backwards = dict(reversed(WAVEFORMS.items()))
    assert discovered(backwards)[1].digest == discovered()[1].digest


@pytest.mark.parametrize("rate_hz", [50, 200])
def test_features_at_another_rate_than_they_claim_are_refused(rate_hz):
    with pytest.raises(DataError, match=f"rate_hz={rate_hz}"):
        discovered(source=dataclasses.replace(mfcc_source(), rate_hz=rate_hz))


def test_use_of_units_is_counted_over_all_clips_even_if_few_are_aligned():
    whole = discovered()[2]["quality"]
    few = {"a": ALIGNMENTS["a"], "elsewhere": [("x", 0, 1)]}
    partly = discovered(alignments=few)[2]["quality"]
    assert whole.items() < partly.items()
    assert discovered(alignments={"elsewhere": [("x", 0, 1)]})[2]["quality"] == whole


def test_the_report_counts_the_frames_of_every_unit():
    _, labels, report = discovered()
    rows = np.concatenate(list(labels.by_id.values()))
    assert report["histogram"] == [int((rows == unit).sum()) for unit in range(3)]


def never_fits(*_, **__):
    pytest.fail("k-means was fitted")


def test_silence_is_refused_before_k_means_with_the_number_of_units_found(monkeypatch):
    monkeypatch.setattr(module, "fit_kmeans", never_fits)
    silent = {name: np.zeros_like(waveform) for name, waveform in WAVEFORMS.items()}
    with pytest.raises(DataError, match="1 of 3 units found: .*leave silent files out"):
        discovered(silent)


def test_as_many_units_as_different_frames_are_found(monkeypatch):
    # A steady tone whose period divides the hop, so that inner frames are alike.
    t_s = np.arange(16_000) / 16_000
    tones = {f"{hz}": np.sin(2 * np.pi * hz * t_s).astype(np.float32) for hz in (200, 800)}

    def loud(clip, audio):
        return np.full((98, 1), np.abs(audio()[:80]).sum().round(2), np.float32)

    source = hidden(compute=loud, rate_hz=100)
    _, labels, report = discovered(tones, source=source, n_units=2)
    assert report["quality"]["n_dead_units"] == 0
    assert labels.by_id["200"][0] != labels.by_id["800"][0]
    monkeypatch.setattr(module, "fit_kmeans", never_fits)
    with pytest.raises(DataError, match="2 of 3 units found.*give n_units=2 or less"):
        discovered(tones, source=source, n_units=3)


def test_units_that_no_frame_gets_are_refused(monkeypatch):
    def with_a_far_centre(frames, n_units, seed):
        centres = fit(frames, n_units=n_units, seed=seed).centroids.copy()
        centres[1] = 1e6
        return KMeans(centres)

    fit = module.fit_kmeans
    monkeypatch.setattr(module, "fit_kmeans", with_a_far_centre)
    with pytest.raises(DataError, match="2 of 3 units found: the audio has too little variety"):
        discovered()


def test_a_silent_file_among_others_is_no_reason_to_refuse():
    some = {**WAVEFORMS, "e": np.zeros(16_000, np.float32)}
    _, labels, report = discovered(some, n_units=4)
    assert report["quality"]["n_dead_units"] == 0
    assert len(np.unique(labels.by_id["e"])) == 1
