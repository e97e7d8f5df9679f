"""SUPERB: small heads trained on the frozen features of a model (arXiv 2105.01051)."""
