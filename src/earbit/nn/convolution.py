"""Convolutions over time as matrix products, for GPUs; on a CPU they are those of PyTorch.

cuDNN copies half precision between memory formats, and is slow for one input channel and for wide
kernels in groups.  Matrix products reach the speed of the GPU.  A short kernel multiplies its input
frames side by side.  A wide kernel in groups becomes a Toeplitz matrix, which multiplies a window
of frames to a block of results.  Other convolutions, as depthwise ones, stay with PyTorch.

Letters: B batch, C channels, O output channels, T frames, L frames of the result, K kernel, G
groups, M blocks, Q results of a block, S frames of its window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv1d_input, conv1d_weight

MAX_SHORT = 16
"""Longest kernel whose frames are copied side by side."""
BLOCK_FRAMES = 32
"""A wider block has more zeros in its matrix, and a narrower one makes smaller products."""


def conv1d(
    x_BCT: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int, groups: int
) -> Tensor:
    """Convolution without padding: (B, C, T) * (O, C / G, K) -> (B, O, L)."""
    if not runs_as_product(x_BCT, weight.shape, stride, groups):
        return F.conv1d(x_BCT, weight, bias, stride=stride, groups=groups)
    x_BTC = x_BCT.transpose(1, 2)
    if torch.is_autocast_enabled(x_BCT.device.type):
        # Before frames are copied, which autocast would leave in float32.
        dtype = torch.get_autocast_dtype(x_BCT.device.type)
        x_BTC, weight = x_BTC.to(dtype), weight.to(dtype)
    if groups == 1:
        y_BLO = F.linear(_side_by_side(x_BTC, weight.shape[-1], stride), _matrix(weight))
    else:
        y_BLO = _in_blocks(x_BTC, weight, groups)
    return (y_BLO if bias is None else y_BLO + bias.to(y_BLO.dtype)).transpose(1, 2)


def conv1d_input_gradient(
    shape: Sequence[int], weight: Tensor, grad_BOL: Tensor, *, stride: int, groups: int
) -> Tensor:
    """Gradient of the input of `shape` (B, C, T); grad: gradient of the result."""
    grad: Tensor
    if not runs_as_product(grad_BOL, weight.shape, stride, groups):
        grad = conv1d_input(  # type: ignore[no-untyped-call]
            shape, weight, grad_BOL, stride=stride, groups=groups
        )
        return grad
    n_batch, n_in, n_frames = shape
    kernel = weight.shape[-1]
    if groups > 1:  # the convolution of the gradient with the reversed kernel
        of_groups = weight.unflatten(0, (groups, -1)).transpose(1, 2)
        padded_BLO = F.pad(grad_BOL, (kernel - 1, kernel - 1)).transpose(1, 2)
        return _in_blocks(padded_BLO, of_groups.flatten(0, 1).flip(-1), groups).transpose(1, 2)
    taps = (grad_BOL.transpose(1, 2) @ _matrix(weight))[..., : kernel * n_in]
    taps_BLKC = taps.unflatten(-1, (kernel, n_in))
    grad = taps.new_zeros(n_batch, n_frames, n_in)
    for k, frames in enumerate(_frames_of_taps(n_frames, kernel, stride)):
        grad[:, frames] += taps_BLKC[:, :, k]
    return grad.transpose(1, 2)


def conv1d_weight_gradient(
    x_BCT: Tensor, shape: Sequence[int], grad_BOL: Tensor, *, stride: int, groups: int
) -> Tensor:
    """Gradient of the weight of `shape` (O, C / G, K); grad: gradient of the result."""
    grad: Tensor
    if not runs_as_product(x_BCT, shape, stride, groups):
        grad = conv1d_weight(  # type: ignore[no-untyped-call]
            x_BCT, shape, grad_BOL, stride=stride, groups=groups
        )
        return grad
    n_out, n_in, kernel = shape
    x_BTC, grad_BLO = x_BCT.transpose(1, 2), grad_BOL.transpose(1, 2)
    if groups == 1:
        taps = _side_by_side(x_BTC, kernel, stride)
        found = grad_BLO.flatten(0, 1).T @ taps.flatten(0, 1)
        return found[:, : kernel * n_in].unflatten(1, (kernel, n_in)).transpose(1, 2)
    windows = _windows(x_BTC, kernel, groups)
    n_blocks = windows.shape[1] // len(x_BTC)
    padded_BLO = F.pad(grad_BLO, (0, 0, 0, n_blocks * BLOCK_FRAMES - grad_BLO.shape[1]))
    blocks = padded_BLO.reshape(-1, BLOCK_FRAMES, groups, n_out // groups).permute(2, 0, 1, 3)
    toeplitz = (windows.mT @ blocks.flatten(2)).view(
        groups, -1, n_in, BLOCK_FRAMES, n_out // groups
    )
    rows = F.pad(toeplitz.permute(0, 4, 2, 3, 1).flatten(-2), (0, BLOCK_FRAMES))
    return rows.unflatten(-1, (BLOCK_FRAMES, -1))[..., :kernel].sum(-2).flatten(0, 1)


def runs_as_product(x: Tensor, weight_shape: Sequence[int], stride: int, groups: int) -> bool:
    """Whether a convolution of x, or a gradient of its result, is computed as a matrix product."""
    _, n_in, kernel = weight_shape
    if groups == 1:
        return x.is_cuda and kernel <= MAX_SHORT
    return x.is_cuda and stride == 1 and n_in > 1 and kernel > MAX_SHORT


def _frames_of_taps(n_frames: int, kernel: int, stride: int) -> list[slice]:
    """Input frames that every tap of the kernel multiplies."""
    span = (n_frames - kernel) // stride * stride + 1
    return [slice(k, k + span, stride) for k in range(kernel)]


def _side_by_side(x_BTC: Tensor, kernel: int, stride: int) -> Tensor:
    """Input frames of every result: (B, T, C) -> (B, L, K C and zeros)."""
    taps = [x_BTC[:, frames] for frames in _frames_of_taps(x_BTC.shape[1], kernel, stride)]
    return _aligned(torch.stack(taps, 2).flatten(2))


def _matrix(weight: Tensor) -> Tensor:
    """The weight (O, C, K) as a matrix (O, K C and zeros)."""
    return _aligned(weight.transpose(1, 2).flatten(1))


def _aligned(x: Tensor) -> Tensor:
    """Zeros up to a multiple of 8 columns, which tensor cores need to be fast."""
    rest = x.shape[-1] % 8
    return F.pad(x, (0, 8 - rest)) if rest else x


def _windows(x_BTC: Tensor, kernel: int, groups: int) -> Tensor:
    """Frames of every block of results, by group: (B, T, C) -> (G, B M, S C / G)."""
    n_batch, n_frames, _ = x_BTC.shape
    n_blocks = -(-(n_frames - kernel + 1) // BLOCK_FRAMES)
    per_window = _blocks_per_window(kernel)
    missing = (n_blocks + per_window - 1) * BLOCK_FRAMES - n_frames
    blocks = F.pad(x_BTC, (0, 0, 0, missing)).unflatten(1, (-1, BLOCK_FRAMES))
    windows = torch.stack([blocks[:, i : i + n_blocks] for i in range(per_window)], 2)
    by_group = windows.unflatten(-1, (groups, -1)).permute(4, 0, 1, 2, 3, 5)
    return by_group.reshape(groups, n_batch * n_blocks, -1)


def _blocks_per_window(kernel: int) -> int:
    return 1 + -(-(kernel - 1) // BLOCK_FRAMES)


def _in_blocks(x_BTC: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Convolution in groups with stride 1: (B, T, C) * (O, C / G, K) -> (B, L, O)."""
    kernel = weight.shape[-1]
    n_window = _blocks_per_window(kernel) * BLOCK_FRAMES
    # Rows of n_window + 1 read as rows of n_window are each one place further right than the last.
    rows = F.pad(weight, (0, n_window + 1 - kernel))[:, :, None].expand(-1, -1, BLOCK_FRAMES, -1)
    shifted = rows.flatten(-2)[..., : BLOCK_FRAMES * n_window]
    by_group = shifted.unflatten(-1, (BLOCK_FRAMES, n_window)).unflatten(0, (groups, -1))
    toeplitz = by_group.permute(0, 4, 2, 3, 1).reshape(groups, n_window * weight.shape[1], -1)
    blocks = torch.bmm(_windows(x_BTC, kernel, groups), toeplitz)
    n_frames = x_BTC.shape[1] - kernel + 1
    by_frame = blocks.view(groups, len(x_BTC), -1, weight.shape[0] // groups).permute(1, 2, 0, 3)
    return by_frame[:, :n_frames].flatten(2)
