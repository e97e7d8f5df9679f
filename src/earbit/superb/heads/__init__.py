"""Heads: small networks on frozen hidden states."""
