"""Propagation of quantization errors through a model."""
