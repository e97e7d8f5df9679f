"""Fewer bits: binarizers, the leaves that use them, plans, conversion, calibration, training.

`binarize`, `leaves`, `plan`, `convert` and `calibrate` know nothing but the three leaves of
`earbit.nn.leaves`; `load`, `train` and `verb` put whole models through them.
"""
