"""Trains an encoder together with the head of a task, in float or with quantization."""
