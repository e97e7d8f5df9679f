"""A trained model becomes a program: a list of ops over packed tensors, in one safetensors file."""
