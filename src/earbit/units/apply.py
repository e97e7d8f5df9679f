"""Labels a corpus with an existing k-means model, possibly fitted on another corpus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from earbit.errors import DataError
from earbit.units.kmeans import KMeans
from earbit.units.labels import LabelHeader, UnitLabels
from earbit.units.mfcc import MFCC_RATE_HZ, mfcc


def label_with(
    kmeans: KMeans, waveforms: Mapping[str, np.ndarray], *, corpus_digest: str
) -> UnitLabels:
    """Labels every frame by its nearest centre in MFCC.

    Raises DataError for a k-means model of other features.
    """
    n_dims = kmeans.centroids.shape[1]
    by_id = {}
    for name, waveform in waveforms.items():
        features = mfcc(waveform)
        if features.shape[1] != n_dims:
            raise DataError(
                f"k-means model of {n_dims}-dimensional features; MFCC have {features.shape[1]}: "
                "only units of MFCC can be given to another corpus"
            )
        by_id[name] = kmeans.assign(features)
    n_units = len(kmeans.centroids)
    header = LabelHeader("mfcc", None, MFCC_RATE_HZ, n_units, kmeans.digest, corpus_digest)
    return UnitLabels(header, by_id)
