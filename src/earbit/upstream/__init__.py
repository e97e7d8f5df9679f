"""Upstreams: models, programs and folders with frozen hidden states to score, and their cache."""
