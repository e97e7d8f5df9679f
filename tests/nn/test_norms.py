import copy

import pytest
import torch

from earbit.nn.norms import ChannelNorm, FrameBatchNorm, FrameNorm


def test_without_padding_it_is_torch_group_norm():
    torch.manual_seed(0)
    norm = ChannelNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    judge = torch.nn.GroupNorm(6, 6)
    judge.load_state_dict(norm.state_dict())
    x = torch.randn(3, 6, 50)
    assert torch.allclose(norm(x), judge(x), atol=1e-6)
    assert torch.allclose(norm(x, torch.full((3,), 50)), judge(x), atol=1e-5)


def test_statistics_do_not_see_padding():
    torch.manual_seed(0)
    norm = ChannelNorm(4)
    x = torch.randn(1, 4, 30)
    padded = torch.cat([x, torch.full((1, 4, 20), 99.0)], dim=-1)
    assert torch.allclose(norm(padded, torch.tensor([30]))[..., :30], norm(x), atol=1e-5)


def batch_norm_and_judge(n_channels: int) -> tuple[FrameBatchNorm, torch.nn.BatchNorm1d]:
    torch.manual_seed(0)
    norm = FrameBatchNorm(n_channels)
    for parameter in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(parameter)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    judge = torch.nn.BatchNorm1d(n_channels)
    judge.load_state_dict(norm.state_dict())
    return norm, judge


def padded(rows: list[torch.Tensor], padding: float) -> torch.Tensor:
    """Rows (C, t) as one batch (B, C, T), with three frames more than the longest has."""
    n_frames = 3 + max(row.shape[1] for row in rows)
    batch = rows[0].new_full((len(rows), rows[0].shape[0], n_frames), padding)
    for i, row in enumerate(rows):
        batch[i, :, : row.shape[1]] = row
    return batch


@pytest.mark.parametrize("padding", [0.0, 99.0, -1e6])
@pytest.mark.parametrize("lengths", [(7, 4, 1), (20,), (1, 1), (2,)], ids=str)
def test_batch_norm_in_training_is_that_of_torch_over_the_real_frames(lengths, padding):
    # In double precision: the gradient of two frames is the difference of two large numbers.
    norm, judge = (module.double() for module in batch_norm_and_judge(5))
    for step in range(3):
        # Off the origin, where a variance that forgets the mean is wrong.
        rows = [3 + step + torch.randn(5, n, dtype=torch.double) for n in lengths]
        x = padded(rows, padding).requires_grad_()
        frames = torch.cat(rows, dim=1).T.contiguous().requires_grad_()
        y, expected = norm(x, torch.tensor(lengths)), judge(frames)
        real = [y[i, :, :n] for i, n in enumerate(lengths)]
        got = torch.cat(real, dim=1).T
        assert torch.allclose(got, expected, atol=1e-9)
        assert torch.allclose(norm.running_mean, judge.running_mean, atol=1e-9)
        assert torch.allclose(norm.running_var, judge.running_var, atol=1e-9)
        assert norm.num_batches_tracked == judge.num_batches_tracked == step + 1
        # Gradients of a sum that is not the same for all frames.
        weights = torch.randn_like(expected)
        norm.zero_grad()
        judge.zero_grad()
        (got * weights).sum().backward()
        (expected * weights).sum().backward()
        theirs = padded(list(frames.grad.T.split(lengths, dim=1)), 0.0)
        assert torch.allclose(x.grad, theirs, atol=1e-9)
        assert torch.allclose(norm.weight.grad, judge.weight.grad, atol=1e-9)
        assert torch.allclose(norm.bias.grad, judge.bias.grad, atol=1e-9)


@pytest.mark.parametrize("lengths", [None, (6, 6, 6)])
def test_batch_norm_of_whole_rows_is_that_of_torch(lengths):
    norm, judge = batch_norm_and_judge(4)
    x = torch.randn(3, 4, 6)
    y = norm(x, None if lengths is None else torch.tensor(lengths))
    assert torch.allclose(y, judge(x), atol=1e-6)
    assert torch.allclose(norm.running_mean, judge.running_mean, atol=1e-6)
    assert torch.allclose(norm.running_var, judge.running_var, atol=1e-6)


@pytest.mark.parametrize("lengths", [None, (5, 2)])
def test_batch_norm_in_evaluation_uses_the_running_statistics_and_leaves_them(lengths):
    norm, judge = batch_norm_and_judge(4)
    x = torch.randn(2, 4, 5)
    before = copy.deepcopy(norm.state_dict())
    y = norm.eval()(x, None if lengths is None else torch.tensor(lengths))
    expected = judge.eval()(x)
    for i, n in enumerate(lengths or (5, 5)):
        assert torch.allclose(y[i, :, :n], expected[i, :, :n], atol=1e-6)
    for name, tensor in norm.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(("n_frames", "lengths"), [(1, None), (1, (1,)), (4, (1,))])
def test_a_lone_frame_in_training_is_normed_by_the_running_statistics(n_frames, lengths):
    norm, judge = batch_norm_and_judge(4)
    x = torch.full((1, 4, n_frames), 99.0)
    x[..., 0] = torch.randn(4)
    y = norm(x, None if lengths is None else torch.tensor(lengths))
    # Torch refuses to norm it in training: one value has no variance.
    assert torch.allclose(y[..., 0], judge.eval()(x[..., 0]), atol=1e-5)
    assert torch.equal(norm.running_mean, judge.running_mean)
    assert torch.equal(norm.running_var, judge.running_var)


def test_frame_norm_is_torch_layer_norm_over_the_channels_of_each_frame():
    torch.manual_seed(0)
    norm = FrameNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = 2 + torch.randn(3, 6, 9)
    y = norm(x, torch.tensor([9, 4, 1]))
    for row in range(3):
        for t in range(9):
            expected = torch.nn.functional.layer_norm(x[row, :, t], (6,), norm.weight, norm.bias)
            assert torch.allclose(y[row, :, t], expected, atol=1e-6)
