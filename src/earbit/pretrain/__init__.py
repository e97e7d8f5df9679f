"""Pre-training by masked prediction of acoustic units (HuBERT, arXiv 2106.07447)."""
