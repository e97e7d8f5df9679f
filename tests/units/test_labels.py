"""Labels against the arithmetic of windows and hops, and against files that were tampered with."""

import dataclasses
import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from earbit.errors import DataError, FormatError
from earbit.frames import n_frames_of
from earbit.units.label_rows import METADATA_KEY
from earbit.units.labels import (
    FORMAT,
    LabelHeader,
    UnitLabels,
    check_labels,
)

HEADER = LabelHeader(
    feature="mfcc", layer=None, rate_hz=100, n_units=7, kmeans_digest="k", corpus_digest="c"
)
LABELS = UnitLabels(HEADER, {"a": np.arange(98) % 7, "b": np.arange(48) % 5})


def counting(n_labels, rate_hz=100):
    """Labels that say which one they are."""
    header = dataclasses.replace(HEADER, rate_hz=rate_hz, n_units=10_000)
    return UnitLabels(header, {"a": np.arange(n_labels, dtype=np.int32)})


def n_mfcc_frames(n_samples):
    return 1 + (n_samples - 400) // 160


@settings(max_examples=100, deadline=None)
@given(n_samples=st.integers(400, 300_000))
def test_a_whole_clip_takes_every_second_label_of_100_hz_and_never_runs_out(n_samples):
    n_frames = n_frames_of(n_samples)
    labels = counting(n_mfcc_frames(n_samples)).for_frames("a", n_frames)
    assert labels.dtype == np.int64
    assert labels.tolist() == list(range(0, 2 * n_frames, 2))


def test_labels_of_50_hz_are_taken_one_by_one():
    assert counting(49, rate_hz=50).for_frames("a", 49).tolist() == list(range(49))


def test_frame_t_takes_label_floor_of_t_times_the_ratio():
    assert counting(30, rate_hz=75).for_frames("a", 6).tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize(
    ("start_sample", "first"), [(0, 0), (79, 0), (81, 1), (160, 1), (8_000, 50), (8_081, 51)]
)
def test_a_crop_starts_at_the_label_nearest_to_its_start(start_sample, first):
    labels = counting(98).for_frames("a", 3, start_sample=start_sample)
    assert labels.tolist() == [first, first + 2, first + 4]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), rate_hz=st.sampled_from([50, 100]))
def test_labels_of_any_crop_are_within_a_hop_of_their_frames(data, rate_hz):
    n_samples = data.draw(st.integers(400, 50_000))
    start = data.draw(st.integers(0, n_samples - 400))
    n_frames = n_frames_of(data.draw(st.integers(400, n_samples - start)))
    n_labels = n_mfcc_frames(n_samples) if rate_hz == 100 else n_frames_of(n_samples)
    labels = counting(n_labels, rate_hz).for_frames("a", n_frames, start_sample=start)
    apart_samples = labels * (16_000 // rate_hz) - (start + 320 * np.arange(n_frames))
    assert labels.shape == (n_frames,)
    assert np.abs(apart_samples).max() <= 16_000 // rate_hz


def test_an_unknown_clip_is_refused_by_name():
    with pytest.raises(DataError, match="'zebra'.*earbit units"):
        LABELS.for_frames("zebra", 3)


@settings(max_examples=40, deadline=None)
@given(
    clips=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.lists(st.integers(0, 499), min_size=1, max_size=30),
        min_size=1,
        max_size=6,
    ),
    layer=st.none() | st.integers(1, 24),
)
def test_saved_labels_are_read_back_as_they_were(clips, layer):
    header = dataclasses.replace(HEADER, n_units=500, layer=layer, feature="hidden", rate_hz=50)
    labels = UnitLabels(header, {name: np.array(row, np.int32) for name, row in clips.items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.safetensors"
        labels.save(path)
        loaded = UnitLabels.load(path)
        assert [file.name for file in Path(folder).iterdir()] == [path.name]
        assert loaded.header == header
        assert {name: row.tolist() for name, row in loaded.by_id.items()} == clips
        assert loaded.digest == labels.digest


def test_the_digest_sees_every_label_and_field_but_not_the_order():
    reordered = UnitLabels(HEADER, dict(reversed(LABELS.by_id.items())))
    assert reordered.digest == LABELS.digest
    one_off = np.arange(98) % 7
    one_off[50] += 1
    others = [
        UnitLabels(HEADER, {**LABELS.by_id, "a": one_off}),
        UnitLabels(HEADER, {"a": LABELS.by_id["a"], "c": LABELS.by_id["b"]}),
        *(
            UnitLabels(dataclasses.replace(HEADER, **{field: value}), LABELS.by_id)
            for field, value in (
                ("feature", "hidden"),
                ("layer", 6),
                ("rate_hz", 50),
                ("n_units", 8),
                ("kmeans_digest", "other"),
                ("corpus_digest", "other"),
            )
        ),
    ]
    assert len({labels.digest for labels in (LABELS, *others)}) == 1 + len(others)


def test_labels_of_their_own_audio_are_accepted():
    check_labels(LABELS, corpus_digest="c", n_samples=[("a", 16_000), ("b", 8_000)])


@pytest.mark.parametrize(
    ("n_samples", "accepted"),  # 98 labels of 10 ms are 15 680 samples; a tenth is 1 600
    [(17_200, True), (17_360, False), (14_160, True), (14_000, False)],
)
def test_labels_and_audio_may_differ_by_a_tenth_of_a_second(n_samples, accepted):
    if accepted:
        check_labels(LABELS, corpus_digest="c", n_samples=[("a", n_samples)])
    else:
        with pytest.raises(DataError, match="'a': labels for 0.98 s"):
            check_labels(LABELS, corpus_digest="c", n_samples=[("a", n_samples)])


def test_a_label_rate_that_is_wrong_by_two_is_refused():
    halved = UnitLabels(dataclasses.replace(HEADER, rate_hz=50), LABELS.by_id)
    with pytest.raises(DataError, match="1.96 s at 50 Hz, audio of 1.00 s"):
        check_labels(halved, corpus_digest="c", n_samples=[("a", 16_000)])


def test_labels_of_another_corpus_are_refused_and_the_message_says_what_to_do():
    with pytest.raises(DataError, match="corpus c, this one is other.*earbit units"):
        check_labels(LABELS, corpus_digest="other", n_samples=[("a", 16_000)])


def test_clips_without_labels_are_counted_and_named():
    wanted = [("a", 16_000), ("x", 16_000), ("y", 16_000)]
    with pytest.raises(DataError, match="2 utterances have no labels, the first is 'x'"):
        check_labels(LABELS, corpus_digest="c", n_samples=wanted)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole, short = tmp_path / "labels.safetensors", tmp_path / "short"
    LABELS.save(whole)
    data = whole.read_bytes()
    for n_bytes in (*range(0, len(data), 7), len(data) - 1):
        short.write_bytes(data[:n_bytes])
        with pytest.raises(FormatError):
            UnitLabels.load(short)


def test_text_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("0 1 2")
    for path in (tmp_path / "text", tmp_path, tmp_path / "missing"):
        with pytest.raises(FormatError):
            UnitLabels.load(path)


def tampered(folder, header_changes=None, **arrays):
    """LABELS in a file, with fields of the header and arrays replaced."""
    path = folder / "labels.safetensors"
    LABELS.save(path)
    header = {"format": FORMAT, **dataclasses.asdict(HEADER)}
    metadata = {METADATA_KEY: json.dumps({**header, **(header_changes or {})})}
    save_file({**load_file(path), **arrays}, path, metadata)
    return path


def test_tampering_with_nothing_gives_labels_that_load(tmp_path):
    assert UnitLabels.load(tampered(tmp_path)).digest == LABELS.digest


@pytest.mark.parametrize(
    ("header_changes", "arrays"),
    [
        pytest.param({"format": "earbit-labels-3"}, {}, id="newer-version"),
        pytest.param({"colour": "red"}, {}, id="unknown-field"),
        pytest.param({"n_units": 6}, {}, id="label-beyond-n-units"),
        pytest.param({"n_units": 0}, {}, id="no-units"),
        pytest.param({"rate_hz": 0}, {}, id="no-rate"),
        pytest.param({"format": "earbit-labels-1"}, {}, id="older-version"),
        pytest.param({}, {"id_ends": np.array([0, 1])}, id="too-few-ids"),
        pytest.param({}, {"ids": np.frombuffer(b"aa", np.uint8)}, id="repeated-id"),
        pytest.param({}, {"ids": np.frombuffer(b"ba", np.uint8)}, id="ids-out-of-order"),
        pytest.param({}, {"ids": np.zeros(2, np.int16)}, id="ids-of-numbers"),
        pytest.param({}, {"id_ends": np.array([0, 1, 9])}, id="id-beyond-the-end"),
        pytest.param({}, {"id_ends": np.array([0, 2, 1])}, id="falling-id-ends"),
        pytest.param({"model_digest": 3}, {}, id="model-digest-as-number"),
        pytest.param({"n_units": "7"}, {}, id="n-units-as-text"),
        pytest.param({"n_units": 7.5}, {}, id="fractional-n-units"),
        pytest.param({"rate_hz": None}, {}, id="rate-is-null"),
        pytest.param({"rate_hz": float("inf")}, {}, id="infinite-rate"),
        pytest.param({"feature": []}, {}, id="feature-is-a-list"),
        pytest.param({}, {"offsets": np.array([0, 147, 146])}, id="falling-offsets"),
        pytest.param({}, {"offsets": np.array([0, 98, 9_000])}, id="offset-beyond-the-end"),
        pytest.param({}, {"offsets": np.array([1, 98, 146])}, id="offset-after-the-start"),
        pytest.param({}, {"offsets": np.array([-1, 98, 146])}, id="negative-offset"),
        pytest.param({}, {"offsets": np.array([0.0, 98, 146])}, id="float-offsets"),
        pytest.param({}, {"labels": np.full(146, -1, np.int32)}, id="negative-label"),
        pytest.param({}, {"labels": np.zeros(146, np.float32)}, id="float-labels"),
        pytest.param({}, {"labels": np.zeros((146, 1), np.int32)}, id="two-dimensions"),
    ],
)
def test_tampered_files_are_refused_by_name(tmp_path, header_changes, arrays):
    path = tampered(tmp_path, header_changes, **arrays)
    with pytest.raises(FormatError, match=r"labels\.safetensors"):
        UnitLabels.load(path)


@pytest.mark.parametrize("metadata", [None, {METADATA_KEY: "{"}, {METADATA_KEY: "[]"}])
def test_files_without_our_header_are_refused(tmp_path, metadata):
    path = tmp_path / "labels.safetensors"
    save_file({"labels": np.zeros(3, np.int32), "offsets": np.array([0, 3])}, path, metadata)
    with pytest.raises(FormatError):
        UnitLabels.load(path)


@pytest.mark.parametrize("header", ["text", 3, None, []])
def test_headers_that_are_not_an_object_are_refused(tmp_path, header):
    path = tampered(tmp_path)
    save_file(load_file(path), path, {METADATA_KEY: json.dumps(header)})
    with pytest.raises(FormatError):
        UnitLabels.load(path)


def test_a_file_without_clips_is_neither_written_nor_read(tmp_path):
    with pytest.raises(DataError):
        UnitLabels(HEADER, {}).save(tmp_path / "labels.safetensors")
    none = {"offsets": np.array([0]), "id_ends": np.array([0]), "ids": np.zeros(0, np.uint8)}
    with pytest.raises(FormatError):
        UnitLabels.load(tampered(tmp_path, labels=np.zeros(0, np.int16), **none))


def test_a_clip_without_labels_is_not_written(tmp_path):
    with pytest.raises(DataError):
        UnitLabels(HEADER, {"a": np.zeros(0, np.int32)}).save(tmp_path / "labels.safetensors")


@pytest.mark.parametrize(("n_frames", "start_sample"), [(500, 0), (3, 160_000), (3, -160)])
def test_frames_that_the_labels_do_not_cover_are_refused(n_frames, start_sample):
    with pytest.raises(DataError):
        LABELS.for_frames("a", n_frames, start_sample)


def test_labels_take_two_bytes_on_disk_and_four_from_32769_units_on(tmp_path):
    for n_units, n_bytes in ((32_768, 2), (32_769, 4)):
        header = dataclasses.replace(HEADER, n_units=n_units)
        path = tmp_path / "labels.safetensors"
        UnitLabels(header, {"a": np.array([0, n_units - 1])}).save(path)
        assert load_file(path)["labels"].itemsize == n_bytes
        assert UnitLabels.load(path).by_id["a"].tolist() == [0, n_units - 1]


def test_opened_labels_hold_no_labels_in_memory_and_go_to_other_processes(tmp_path):
    path = tmp_path / "labels.safetensors"
    long = np.arange(200_000) % 7
    UnitLabels(HEADER, {"a": long, "b": long[:3]}).save(path)
    message = pickle.dumps(UnitLabels.load(path))
    assert len(message) < 10_000
    assert pickle.loads(message).for_frames("a", 4).tolist() == [0, 2, 4, 6]


def test_clips_that_cannot_be_decoded_may_lack_labels_and_are_returned():
    clips = [("a", 16_000), ("aa", 16_000), ("b", 8_000), ("x", 16_000)]
    settings = {"corpus_digest": "c", "n_samples": clips}
    assert check_labels(LABELS, **settings, may_lack={"aa", "x", "b"}) == {"aa", "x"}
    with pytest.raises(DataError, match="1 utterances have no labels, the first is 'aa'"):
        check_labels(LABELS, **settings, may_lack={"x"})


def test_the_histogram_counts_the_labels_of_all_clips(tmp_path):
    path = tmp_path / "labels.safetensors"
    LABELS.save(path)
    expected = [14 + 10] * 3 + [14 + 9] * 2 + [14] * 2
    assert UnitLabels.load(path).histogram.tolist() == LABELS.histogram.tolist() == expected
