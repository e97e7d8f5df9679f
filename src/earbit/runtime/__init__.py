"""Runs programs with numpy and the compiled core alone; torch is never imported here."""

from earbit.runtime.session import Session
from earbit.runtime.waveform import LevelWarning

__all__ = ["LevelWarning", "Session"]
