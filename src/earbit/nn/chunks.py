"""Attention in chunks of frames, whose inner matrices are recomputed in the backward pass.

Kept, those matrices would be three times the operands.  Gradients are written into place chunk by
chunk, so that training holds the operands, the result and their gradients, and nothing else that
grows with the frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""First frame, queries from there on, keys and values of the same frames and a margin around them
as far as there are frames -> the queries' context, of their shape."""


def attend_in_chunks(
    attend: Attend,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    parameters: tuple[Tensor, ...],
    *,
    block_frames: int,
    chunk_blocks: int,
    margin_frames: tuple[int, int],
) -> Tensor:
    """`attend` over chunks of queries, concatenated: (..., T, K) -> (..., T, K).

    margin_frames: frames before and after a chunk whose keys and values `attend` is given.
    parameters: learned scales that `attend` reads.  The gradient of a scale is divided by the root
    of the number of elements (LSQ), so a chunk's gradient is multiplied by the root of the share of
    blocks in it, and the sum over chunks equals the gradient of the whole.  Random numbers are
    drawn again, the same, in the backward pass.  Second derivatives are not supported.
    """
    sizes = (block_frames, chunk_blocks * block_frames, margin_frames)
    context: Tensor = _Chunked.apply(attend, sizes, q, k, v, *parameters)  # type: ignore[no-untyped-call]
    return context


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        attend: Attend,
        sizes: tuple[int, int, tuple[int, int]],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, *parameters)
        ctx.attend, ctx.sizes = attend, sizes
        ctx.random_state = _random_state(q.device)
        ctx.autocast = _autocast_of(q.device)
        context = torch.empty_like(q)
        for own, around in _chunks(q.shape[-2], *ctx.sizes[1:]):
            context[..., own, :] = attend(
                own.start, q[..., own, :], k[..., around, :], v[..., around, :]
            )
        return context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *parameters = ctx.saved_tensors
        learning = [p for p in parameters if p.requires_grad]
        grad_q, grad_k, grad_v = (torch.empty_like(x) for x in (q, k, v))
        grads_of = {id(p): torch.zeros_like(p) for p in learning}
        with (
            _as_before(q.device, ctx.random_state),
            torch.autocast(q.device.type, **ctx.autocast),
            torch.enable_grad(),
        ):
            end = 0
            for own, around in _chunks(q.shape[-2], *ctx.sizes[1:]):
                inputs = [
                    x[..., part, :].detach().requires_grad_()
                    for x, part in ((q, own), (k, around), (v, around))
                ]
                context = ctx.attend(own.start, *inputs)
                found = torch.autograd.grad(
                    context, [*inputs, *learning], grad[..., own, :].to(context.dtype)
                )
                grad_q[..., own, :] = found[0]
                # Frames before `end` were in the margin of the last chunk, or the reverse.
                n_shared = end - around.start
                for total, one in ((grad_k, found[1]), (grad_v, found[2])):
                    total[..., around.start : end, :] += one[..., :n_shared, :]
                    total[..., end : around.stop, :] = one[..., n_shared:, :]
                end = around.stop
                n_blocks, n_all = (-(-x.shape[-2] // ctx.sizes[0]) for x in (inputs[0], q))
                for parameter, one in zip(learning, found[3:], strict=True):
                    grads_of[id(parameter)] += one * math.sqrt(n_blocks / n_all)
        return (
            None,
            None,
            grad_q,
            grad_k,
            grad_v,
            *(grads_of.get(id(p)) for p in parameters),
        )


def _chunks(
    n_frames: int, chunk_frames: int, margin_frames: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Slices of the frames of every chunk, without and with its margins."""
    before, after = margin_frames
    for first in range(0, n_frames, chunk_frames):
        end = min(n_frames, first + chunk_frames)
        around = slice(max(0, first - before), min(n_frames, end + after))
        yield slice(first, end), around


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextmanager
def _as_before(device: torch.device, random_state: Tensor) -> Iterator[None]:
    """Context with the given random state; restores the previous state on exit."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        if is_cuda:
            torch.cuda.set_rng_state(random_state, device)
        else:
            torch.set_rng_state(random_state)
        yield


def _autocast_of(device: torch.device) -> dict[str, Any]:
    """The current autocast settings as arguments of `torch.autocast`."""
    return {
        "enabled": torch.is_autocast_enabled(device.type),
        "dtype": torch.get_autocast_dtype(device.type),
    }
