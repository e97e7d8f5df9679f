"""Attention whose two products run one after the other, so that a test can see between them."""

import torch

from earbit.nn.leaves import MatMul


def observed(module: torch.nn.Module) -> torch.nn.Module:
    """The module with a hook on every product, which keeps it out of fused kernels."""
    for leaf in module.modules():
        if isinstance(leaf, MatMul):
            leaf.register_forward_hook(lambda *_: None)
    return module
