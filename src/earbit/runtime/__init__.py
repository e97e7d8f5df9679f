"""Runs programs with numpy and the compiled core, without PyTorch."""

from earbit.runtime.op_times import OpTime, render_times
from earbit.runtime.session import Session
from earbit.runtime.stream import Stream
from earbit.runtime.waveform import LevelWarning

__all__ = ["LevelWarning", "OpTime", "Session", "Stream", "render_times"]
