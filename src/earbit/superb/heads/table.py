"""Table of the heads."""

from __future__ import annotations

from earbit.superb.heads.head import Head
from earbit.superb.heads.linear import FrameLinear, MeanPoolLinear
from earbit.superb.heads.recurrent import Blstm, FrameLstm
from earbit.superb.heads.xvector import XVector

HEADS: dict[str, type[Head]] = {
    "mean_pool_linear": MeanPoolLinear,
    "frame_linear": FrameLinear,
    "blstm": Blstm,
    "xvector": XVector,
    "frame_lstm": FrameLstm,
}
