"""Fewer bits: binarizers, the leaves that use them, plans, conversion, calibration, training.

Nothing here knows HuBERT or any encoder: only the three leaves of `earbit.nn.leaves`.
"""
