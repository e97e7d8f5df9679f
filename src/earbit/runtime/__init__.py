"""Runs programs with numpy and the compiled core, without PyTorch."""

from earbit.runtime.session import Session
from earbit.runtime.waveform import LevelWarning

__all__ = ["LevelWarning", "Session"]
