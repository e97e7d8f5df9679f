"""Units of a language of three sounds, whose alignment is known exactly."""

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from earbit.errors import DataError
from earbit.units import discover as module
from earbit.units.discover import discover_units, write_units
from earbit.units.kmeans import KMeans
from earbit.units.labels import UnitLabels, check_labels
from earbit.units.mfcc import mfcc

SOUND_SAMPLES = 4_000
TONES_HZ = {"low": (200, 400), "mid": (900, 1_800), "high": (3_000, 5_000)}


def clip(sounds, seed):
    """Sounds of a quarter of a second each, over a little noise; and their alignment."""
    t_s = np.arange(SOUND_SAMPLES) / 16_000
    parts = [sum(np.sin(2 * np.pi * f * t_s) for f in TONES_HZ[sound]) for sound in sounds]
    noise = np.random.default_rng(seed).standard_normal(SOUND_SAMPLES * len(sounds))
    alignment = [(sound, 0.25 * i, 0.25) for i, sound in enumerate(sounds)]
    return (0.2 * np.concatenate(parts) + 0.01 * noise).astype(np.float32), alignment


SPOKEN = {
    "a": ["low", "mid", "high", "low"],
    "b": ["high", "high", "mid", "low"],
    "c": ["mid", "low", "high", "mid"],
    "d": ["high", "low", "mid"],
}
CLIPS = {name: clip(sounds, seed) for seed, (name, sounds) in enumerate(SPOKEN.items())}
WAVEFORMS = {name: waveform for name, (waveform, _) in CLIPS.items()}
ALIGNMENTS = {name: alignment for name, (_, alignment) in CLIPS.items()}


def discovered(waveforms=WAVEFORMS, **options):
    settings = {"corpus_digest": "c0ffee", "n_units": 3, "seed": 0, **options}
    return discover_units(waveforms, **settings)


def loudness(waveform):
    """Stands for a hidden layer: one number per 20 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::320]
    return np.log(np.square(windows).mean(axis=1, keepdims=True)).astype(np.float32)


def test_units_of_a_language_of_three_sounds_are_its_sounds():
    _, labels, quality = discovered(phone_alignments=ALIGNMENTS)
    # 22 frames of every sound lie within it; the others see a part of its neighbour.
    truth = [sound for sounds in SPOKEN.values() for sound in sounds for _ in range(22)]
    inner = [
        labels.by_id[name][25 * i + 1 : 25 * i + 23]
        for name, sounds in SPOKEN.items()
        for i in range(len(sounds))
    ]
    assert adjusted_rand_score(truth, np.concatenate(inner)) > 0.9
    assert quality.pnmi > 0.8
    assert quality.phone_purity > 0.9
    assert quality.n_dead_units == 0


def test_purity_is_best_where_the_alignment_says_not_a_frame_beside_it():
    def purity(shift_s):
        shifted = {
            name: [(sound, max(0, start_s + shift_s), d) for sound, start_s, d in alignment]
            for name, alignment in ALIGNMENTS.items()
        }
        return discovered(phone_alignments=shifted)[2].phone_purity

    assert purity(0) > max(purity(-0.0075), purity(0.0075))


def test_every_frame_of_every_clip_is_labelled_by_the_one_model():
    kmeans, labels, _ = discovered(fit_ids=["a", "b"])
    assert set(labels.by_id) == set(WAVEFORMS)
    for name, waveform in WAVEFORMS.items():
        assert labels.by_id[name].tolist() == kmeans.assign(mfcc(waveform)).tolist()
    n_samples = {name: waveform.size for name, waveform in WAVEFORMS.items()}
    check_labels(labels, corpus_digest="c0ffee", n_samples=n_samples)


def test_labels_say_what_they_are():
    kmeans, labels, _ = discovered(
        features=loudness, feature_name="hidden", layer=2, rate_hz=50, n_units=2
    )
    header = labels.header
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


def test_k_means_sees_no_more_frames_than_its_bound(monkeypatch):
    seen = []
    fit = module.fit_kmeans
    monkeypatch.setattr(module, "MAX_FIT_FRAMES", 50)
    monkeypatch.setattr(
        module, "fit_kmeans", lambda frames, **rest: seen.append(frames) or fit(frames, **rest)
    )
    first, again = discovered()[0], discovered()[0]
    assert [len(frames) for frames in seen] == [50, 50]
    assert first.digest == again.digest
    known = {row.tobytes() for waveform in WAVEFORMS.values() for row in mfcc(waveform)}
    assert {row.tobytes() for row in seen[0]} <= known


def test_progress_is_told_of_every_clip_once():
    told = []
    discovered(progress=told.append)
    assert told == [1] * len(WAVEFORMS)


def test_quality_without_alignments_counts_all_frames():
    _, labels, quality = discovered()
    assert quality.n_frames == sum(len(row) for row in labels.by_id.values())
    assert quality.pnmi is None


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


def test_what_is_written_is_what_was_found(tmp_path):
    kmeans, labels, quality = discovered(phone_alignments=ALIGNMENTS, seed=5)
    returned = write_units(tmp_path, kmeans, labels, quality, seed=5)
    record = json.loads((tmp_path / "units.json").read_text())
    assert record == returned
    assert KMeans.load(tmp_path / "kmeans.safetensors").digest == kmeans.digest
    assert UnitLabels.load(tmp_path / "labels.safetensors").digest == labels.digest
    assert {file.name for file in tmp_path.iterdir()} == {
        "kmeans.safetensors",
        "labels.safetensors",
        "units.json",
    }
    expected = {
        "feature": "mfcc",
        "layer": None,
        "rate_hz": 100,
        "n_units": 3,
        "seed": 5,
        "kmeans_digest": kmeans.digest,
        "corpus_digest": "c0ffee",
        "labels_digest": labels.digest,
    }
    assert expected.items() <= record.items()
    assert record["quality"]["pnmi"] == pytest.approx(quality.pnmi)


def test_the_order_of_the_clips_does_not_matter():
    backwards = dict(reversed(WAVEFORMS.items()))
    assert discovered(backwards)[1].digest == discovered()[1].digest


def test_clips_to_fit_on_must_be_there():
    with pytest.raises(DataError, match="1 utterances without audio, the first is 'zebra'"):
        discovered(fit_ids=["a", "zebra"])


@pytest.mark.parametrize("rate_hz", [50, 200])
def test_features_at_another_rate_than_they_claim_are_refused(rate_hz):
    with pytest.raises(DataError, match=f"rate_hz={rate_hz}"):
        discovered(rate_hz=rate_hz)


def test_use_of_units_is_counted_over_all_clips_even_if_few_are_aligned():
    _, labels, whole = discovered()
    _, _, partly = discovered(phone_alignments={"a": ALIGNMENTS["a"], "elsewhere": [("x", 0, 1)]})
    assert (partly.n_frames, partly.entropy_bits) == (whole.n_frames, whole.entropy_bits)
    assert partly.pnmi is not None
    assert discovered(phone_alignments={"elsewhere": [("x", 0, 1)]})[2] == whole


def test_units_json_counts_the_frames_of_every_unit(tmp_path):
    kmeans, labels, quality = discovered()
    record = write_units(tmp_path / "new" / "folder", kmeans, labels, quality, seed=0)
    rows = np.concatenate(list(labels.by_id.values()))
    assert record["histogram"] == [int((rows == unit).sum()) for unit in range(3)]


def test_labels_are_not_written_beside_another_model(tmp_path):
    _, labels, quality = discovered()
    foreign = discovered(seed=1, n_units=2)[0]
    with pytest.raises(DataError, match="one call of discover_units"):
        write_units(tmp_path, foreign, labels, quality, seed=0)
    assert list(tmp_path.iterdir()) == []


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

    def loud(waveform):
        return np.full((98, 1), np.abs(waveform[:80]).sum().round(2), np.float32)

    _, labels, quality = discovered(tones, features=loud, n_units=2)
    assert quality.n_dead_units == 0
    assert labels.by_id["200"][0] != labels.by_id["800"][0]
    monkeypatch.setattr(module, "fit_kmeans", never_fits)
    with pytest.raises(DataError, match="2 of 3 units found.*give n_units=2 or less"):
        discovered(tones, features=loud, n_units=3)


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
    _, labels, quality = discovered(some, n_units=4)
    assert quality.n_dead_units == 0
    assert len(np.unique(labels.by_id["e"])) == 1
