"""Units of a language of three sounds, whose alignment is known exactly."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.errors import ConfigError, DataError
from earbit.units import fit as module
from earbit.units.assign import join, labelled_rows
from earbit.units.discover import KMEANS, LABELS, REPORT, UnitConfig, discover_units
from earbit.units.kmeans import KMeans
from earbit.units.labels import UnitLabels, check_labels, write_labels
from earbit.units.mfcc import mfcc
from earbit.units.sources import FeatureSource, folder_source, mfcc_source

SOUND_SAMPLES = 4_000
TMP = tempfile.TemporaryDirectory()
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


def table(waveforms):
    return ClipTable(Clip(name, Path(name), w.size) for name, w in waveforms.items())


def discovered(waveforms=WAVEFORMS, fit_ids=None, source=None, alignments=(), read=None, **options):
    """Model, labels and report of a corpus in memory."""
    train = {n: w for n, w in waveforms.items() if fit_ids is None or n in fit_ids}
    others = {n: w for n, w in waveforms.items() if n not in train}
    settings = {"n_units": 3, "seed": 0, **options}
    out = Path(tempfile.mkdtemp(dir=TMP.name))
    report = discover_units(
        table(train),
        table(others),
        source or mfcc_source(),
        UnitConfig(**settings),
        out,
        corpus_digest="c0ffee",
        read=read or reading_from(waveforms),
        alignments=dict(alignments).items(),
    )
    assert {path.name for path in out.iterdir()} >= {LABELS, KMEANS, REPORT}
    assert not (out / ".parts").exists()
    return KMeans.load(out / KMEANS), UnitLabels.load(out / LABELS), report


def loudness(clip, audio):
    """Stands for a hidden layer: one number per 20 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(audio(), 400)[::320]
    return np.log(np.square(windows).mean(axis=1, keepdims=True)).astype(np.float32)


def hidden(**changes):
    fields = {"name": "hidden", "layer": 2, "rate_hz": 50, "compute": loudness, **changes}
    return FeatureSource(model_digest="m0de1", in_workers=False, **fields)


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


def frames_seen(monkeypatch, **options):
    """The frames that k-means is fitted on."""
    seen = []
    fit = module.fit_kmeans
    monkeypatch.setattr(
        module, "fit_kmeans", lambda frames, **rest: seen.append(frames) or fit(frames, **rest)
    )
    discovered(**options)
    monkeypatch.setattr(module, "fit_kmeans", fit)
    return seen[0]


def test_k_means_sees_no_more_frames_than_its_memory_holds(monkeypatch):
    options = {"memory_gb": 50 * 39 * 4 / 1e9}
    first, again = (frames_seen(monkeypatch, **options) for _ in range(2))
    assert 45 <= len(first) <= 50
    assert first.tobytes() == again.tobytes()
    known = {row.tobytes() for waveform in WAVEFORMS.values() for row in mfcc(waveform)}
    assert {row.tobytes() for row in first} <= known


def test_a_fraction_takes_whole_clips(monkeypatch):
    frames = frames_seen(monkeypatch, fraction=0.5)
    pairs = [{a, b} for a in WAVEFORMS for b in WAVEFORMS if a < b]
    whole = [np.concatenate([mfcc(WAVEFORMS[n]) for n in sorted(pair)]) for pair in pairs]
    assert any(np.array_equal(frames, one) for one in whole)


def test_k_means_in_bounded_memory_is_as_good_as_on_all_frames(monkeypatch):
    # 36 clouds of points, of which k-means sees a tenth.
    random = np.random.default_rng(0)
    centres = 4 * random.standard_normal((36, 8))
    clouds = centres[random.integers(36, size=40_000)] + random.standard_normal((40_000, 8))
    frames = {f"{i:02}": x for i, x in enumerate(np.split(clouds.astype(np.float32), 40))}
    audio = {name: np.zeros(320_000 + 80, np.float32) for name in frames}
    source = hidden(compute=lambda clip, audio: frames[clip.id])
    memory_gb = 4_000 * 8 * 4 / 1e9
    bounded = discovered(audio, source=source, n_units=36, memory_gb=memory_gb)[0]
    reference = MiniBatchKMeans(
        36,
        max_iter=100,
        batch_size=10_000,
        max_no_improvement=100,
        n_init=20,
        reassignment_ratio=0,
        random_state=0,
    ).fit(clouds)

    def inertia(centroids):
        return np.square(clouds[:, None] - centroids).sum(-1).min(1).sum()

    assert inertia(bounded.centroids) < 1.02 * inertia(reference.cluster_centers_)


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


def test_clips_that_cannot_be_read_have_no_labels_and_are_listed():
    def read(clip, start=0, n_samples=None):
        if clip.id in "bd":
            raise DataError(f"{clip.path}: damaged")
        return WAVEFORMS[clip.id]

    _, labels, report = discovered(read=read)
    assert (list(labels.by_id), report["n_unreadable"]) == (["a", "c"], 2)
    with pytest.raises(DataError, match="none of 2 training clips can be read; .*d: damaged"):
        discovered({n: WAVEFORMS[n] for n in "bd"}, read=read)


def test_ranks_share_the_clips_and_find_the_same_frames_and_labels(tmp_path):
    clips, source = table(WAVEFORMS), mfcc_source()
    read = reading_from(WAVEFORMS)
    plan = module.frames_to_fit(clips, rate_hz=100, fraction=1, max_frames=200, seed=3)
    alone, _ = module.sampled(clips, read, source, plan, 39, rank=0, n_ranks=1)
    kmeans, labels, _ = discovered()
    reasons = {}
    for rank in range(3):
        frames, counts = module.sampled(clips, read, source, plan, 39, rank=rank, n_ranks=3)
        np.save(tmp_path / f"frames-{rank}.npy", frames)
        np.save(tmp_path / f"counts-{rank}.npy", counts)
        rows = labelled_rows(clips, read, source, kmeans, reasons, rank=rank, n_ranks=3)
        write_labels(tmp_path / f"labels-{rank}.safetensors", labels.header, rows)
    joined = module.joined_frames(tmp_path, 3, len(plan.rows), 39)
    assert joined.tobytes() == alone.tobytes()
    join(tmp_path, 3, tmp_path / LABELS, labels.header)
    assert UnitLabels.load(tmp_path / LABELS).digest == labels.digest


@pytest.mark.parametrize("in_workers", [True, False])
def test_worker_processes_change_nothing(in_workers):
    source = dataclasses.replace(mfcc_source(), in_workers=in_workers)
    assert discovered(source=source, workers=2)[1].digest == discovered(workers=0)[1].digest


def test_features_of_another_program_are_clustered(tmp_path):
    for name, waveform in WAVEFORMS.items():
        np.save(tmp_path / f"{name}.npy", np.stack([0 * mfcc(waveform), mfcc(waveform)]))
    source = folder_source(tmp_path, rate_hz=100, layer=1)
    kmeans, labels, _ = discovered(source=source)
    assert kmeans.digest == discovered()[0].digest
    assert (labels.header.feature, labels.header.layer) == ("features", 1)
    with pytest.raises(ConfigError, match="features of 2 layers; choose one with --layer 0 to 1"):
        discovered(source=folder_source(tmp_path, rate_hz=100))
    with pytest.raises(DataError, match="give the rate that the features have"):
        discovered(source=folder_source(tmp_path, rate_hz=50, layer=1))
    (tmp_path / "c.npy").unlink()
    with pytest.raises(DataError, match="no features of 1 clips, the first is c.npy"):
        discovered(source=folder_source(tmp_path, rate_hz=100, layer=1))
