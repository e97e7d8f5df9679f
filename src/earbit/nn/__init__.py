"""Building blocks of all encoders, independent of encoders, tasks and quantizers."""
