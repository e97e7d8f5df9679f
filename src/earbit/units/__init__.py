"""Acoustic unit discovery: features, k-means, one label per frame, and how good the units are."""

from earbit.units.discover import discover_units, write_units
from earbit.units.kmeans import KMeans, fit_kmeans
from earbit.units.labels import UnitLabels, check_labels
from earbit.units.mfcc import MFCC_RATE_HZ, mfcc
from earbit.units.quality import UnitQuality, phones_at_rate, unit_quality

__all__ = [
    "MFCC_RATE_HZ",
    "KMeans",
    "UnitLabels",
    "UnitQuality",
    "check_labels",
    "discover_units",
    "fit_kmeans",
    "mfcc",
    "phones_at_rate",
    "unit_quality",
    "write_units",
]
