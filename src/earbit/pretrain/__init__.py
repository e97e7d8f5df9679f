"""Masked prediction of acoustic units (HuBERT, arXiv 2106.07447): masks, objective, one loop."""
