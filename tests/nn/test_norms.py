import torch

from earbit.nn.norms import ChannelNorm


def test_without_padding_it_is_torch_group_norm():
    norm = ChannelNorm(6)
    torch.nn.init.normal_(norm.weight)
    judge = torch.nn.GroupNorm(6, 6)
    judge.load_state_dict(norm.state_dict())
    x = torch.randn(3, 6, 50)
    assert torch.allclose(norm(x), judge(x), atol=1e-6)
    assert torch.allclose(norm(x, torch.full((3,), 50)), judge(x), atol=1e-5)


def test_statistics_do_not_see_padding():
    norm = ChannelNorm(4)
    x = torch.randn(1, 4, 30)
    padded = torch.cat([x, torch.full((1, 4, 20), 99.0)], dim=-1)
    assert torch.allclose(norm(padded, torch.tensor([30]))[..., :30], norm(x), atol=1e-5)
