"""earbit: audio language models in one bit, that really run in one bit."""

__version__ = "0.1.0"
