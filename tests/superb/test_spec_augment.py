import numpy as np
import pytest
import torch

from earbit.heads.spec_augment import spec_augment


def augmented(x_BTD, lengths, seed=0):
    torch.manual_seed(seed)
    return spec_augment(x_BTD, torch.tensor(lengths))


def test_masks_are_zero_and_what_is_left_of_constant_features_is_constant():
    """A warp of a constant is the constant."""
    for seed in range(20):
        y_BTD = augmented(torch.ones(2, 200, 300), [200, 90], seed)
        assert y_BTD.shape == (2, 200, 300)
        values = torch.unique((y_BTD * 1e5).round() / 1e5)
        assert set(values.tolist()) <= {0.0, 1.0}


def test_masks_are_whole_frames_and_whole_features_of_limited_width():
    n_frames_masked, n_features_masked = [], []
    for seed in range(40):
        y_TD = augmented(torch.ones(1, 300, 400), [300], seed)[0].round()
        masked_T, masked_D = y_TD.sum(1) == 0, y_TD.sum(0) == 0
        n_frames_masked.append(int(masked_T.sum()))
        n_features_masked.append(int(masked_D.sum()))
        assert torch.equal(y_TD, (~masked_T).float()[:, None] * (~masked_D).float())
    # Two masks of 0 to 39 frames, four of 0 to 49 features.
    assert max(n_frames_masked) <= 2 * 39
    assert max(n_features_masked) <= 4 * 49
    assert 20 < np.mean(n_frames_masked) < 50
    assert 50 < np.mean(n_features_masked) < 130


@pytest.mark.parametrize("n_frames", [1, 2, 10, 11])
def test_a_short_clip_is_never_masked_entirely(n_frames):
    for seed in range(30):
        y_TD = augmented(torch.ones(1, n_frames, 8), [n_frames], seed)[0]
        assert y_TD.shape == (n_frames, 8)
        assert y_TD.isfinite().all()


def test_a_time_warp_keeps_the_ends_where_they_were():
    ramp = torch.arange(100.0)[:, None].expand(100, 1)
    seen = set()
    for seed in range(20):
        y_T = augmented(ramp[None], [100], seed)[0, :, 0]
        kept = y_T > 0.5
        seen.add(bool(torch.allclose(y_T[kept], ramp[:, 0][kept], atol=1e-3)))
        moved = (y_T - ramp[:, 0])[kept].abs()
        # A frame is moved by at most 4, and frames at the ends by half a step at most.
        assert moved.max() < 5
    assert seen == {True, False} or seen == {False}


def test_padding_stays_zero():
    y_BTD = augmented(torch.ones(2, 50, 20), [50, 30])
    assert not y_BTD[1, 30:].any()
