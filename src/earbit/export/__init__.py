"""Exports a trained model as a program: ops over packed tensors in one safetensors file."""
