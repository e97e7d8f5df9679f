"""Table of the heads."""

from __future__ import annotations

from earbit.heads.head import Head
from earbit.heads.linear import FrameLinear, MeanPoolLinear
from earbit.heads.recurrent import Blstm, FrameLstm
from earbit.heads.xvector import XVector

HEADS: dict[str, type[Head]] = {
    "mean_pool_linear": MeanPoolLinear,
    "frame_linear": FrameLinear,
    "blstm": Blstm,
    "xvector": XVector,
    "frame_lstm": FrameLstm,
}
