"""The one sampling rate; a file of its own, because light processes read nothing else of audio."""

SAMPLE_RATE_HZ = 16_000
