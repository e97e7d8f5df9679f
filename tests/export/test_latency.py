import pytest

from earbit.cli.main import main
from earbit.config import override
from earbit.export.latency import latency_of
from earbit.presets import PRESETS, preset

STREAMING = {
    # Windows of 30 ms from the start of a frame, and 15 and 14 frames of look-ahead.
    "sparseformer-stream-s": 30 + 15 * 20,
    "sparseformer-stream-tiny": 30 + 14 * 20,
}


@pytest.mark.parametrize("name", STREAMING)
def test_the_latency_of_a_preset_that_streams_is_the_sum_of_its_look_ahead(name):
    assert latency_of(preset(name)).ms == STREAMING[name] <= 345
    at_once = override(preset(name), ["encoder.window.right=0"])
    assert latency_of(at_once).ms == 30 <= 45


@pytest.mark.parametrize("name", sorted(set(PRESETS) - set(STREAMING)))
def test_every_other_preset_names_the_op_that_needs_the_clip(name):
    found = latency_of(preset(name))
    assert found.ms is None
    assert "needs the whole clip; use " in found.whole_clip


@pytest.mark.parametrize(
    ("name", "settings", "op"),
    [
        ("sparseformer-dn-tiny", [], "group_norm (a norm over all frames)"),
        ("hubert-fbank-tiny", [], "attention_f32 (attention to all frames)"),
        ("sparseformer-stream-tiny", ["normalize_waveform=true"], "op 0, group_norm"),
    ],
)
def test_the_first_op_in_the_way_is_named(name, settings, op):
    assert op in latency_of(override(preset(name), settings)).whole_clip


def test_convolutions_normalised_frame_by_frame_stream_too():
    settings = ['front_end={"type":"frontend","norm":"layer"}']
    found = latency_of(override(preset("sparseformer-stream-tiny"), settings))
    assert found.ms == 25 + 14 * 20


def test_profile_prints_it(capsys):
    main(["profile", "sparseformer-stream-tiny", "hubert-tiny", "--json", "-"])
    out = capsys.readouterr().out
    assert '"latency_ms": 310.0' in out
    assert '"latency_ms": null' in out
