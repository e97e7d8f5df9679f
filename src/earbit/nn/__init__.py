"""Blocks that all encoders share; they know nothing of encoders, tasks or quantizers."""
