"""The sampling rate of all audio in earbit, in a module without imports."""

SAMPLE_RATE_HZ = 16_000
