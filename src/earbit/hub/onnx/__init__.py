"""Writes programs as ONNX graphs, one function per op."""
