from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.errors import ConfigError
from earbit.pretrain.masking import MaskConfig, batch_mask, span_mask


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_more_than_half_of_the_frames_are_hidden_as_theory_says():
    masks = batch_mask(200, 780, MaskConfig(), generator(0))
    # 1 - (1 - 0.08)^10 of the frames
    assert masks.float().mean().item() == pytest.approx(0.566, abs=0.01)


def expected_share(n_frames, n_spans, span):
    """Share of hidden frames with `n_spans` of the possible starts, each as likely as any other."""
    n_starts = n_frames - span
    covering = [sum(0 <= t - start < span for start in range(n_starts)) for t in range(n_frames)]
    seen = [comb(n_starts - n, n_spans) / comb(n_starts, n_spans) for n in covering]
    return 1 - sum(seen) / n_frames


def test_the_number_of_spans_is_rounded_up_as_often_as_its_fraction_says():
    # 0.8 * 99 / 10 = 7.92 spans
    expected = 0.08 * expected_share(99, 7, 10) + 0.92 * expected_share(99, 8, 10)
    masks = batch_mask(4_000, 99, MaskConfig(), generator(0))
    assert masks.float().mean().item() == pytest.approx(expected, abs=0.004)
    # Spans of one frame can be counted: 0.8 * 99 = 79.2 of them.
    counts = batch_mask(4_000, 99, MaskConfig(span_frames=1), generator(1)).sum(dim=1)
    assert set(counts.tolist()) == {79, 80}
    assert counts.float().mean().item() == pytest.approx(79.2, abs=0.03)


def test_short_clips_have_exactly_the_least_number_of_spans():
    config = MaskConfig(probability=0.1, span_frames=1, min_spans=3)
    assert batch_mask(100, 9, config, generator(0)).sum(dim=1).tolist() == [3] * 100
    # Two different starts of HuBERT's spans, where its probability gives 1.2.
    hidden = batch_mask(300, 15, MaskConfig(), generator(0)).sum(dim=1)
    assert (hidden.min(), hidden.max()) == (11, 14)


def test_hidden_frames_come_in_spans_of_at_least_ten():
    mask = span_mask(500, MaskConfig(), generator(1))
    steps = torch.diff(mask.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    starts, ends = (steps > 0).nonzero().flatten(), (steps < 0).nonzero().flatten()
    lengths = ends - starts
    assert int(lengths.sum()) == int(mask.sum()) > 0
    assert int(lengths.min()) >= 10


@settings(deadline=None)
@given(n_frames=st.integers(0, 120), seed=st.integers(0, 1000))
def test_any_length_keeps_a_visible_frame(n_frames, seed):
    mask = span_mask(n_frames, MaskConfig(), generator(seed))
    assert mask.shape == (n_frames,)
    if n_frames >= 2:
        assert mask.any()
        assert not mask.all()
    else:
        assert not mask.any()


def test_the_same_seed_gives_the_same_mask():
    a, b = (span_mask(300, MaskConfig(), generator(7)) for _ in range(2))
    assert torch.equal(a, b)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match=r"probability=1\.5"):
        MaskConfig(probability=1.5)
    with pytest.raises(ConfigError, match=r"min_spans=0; allowed: 1 <= min_spans"):
        MaskConfig(min_spans=0)
