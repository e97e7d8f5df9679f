"""Mini-batch k-means with HuBERT's parameters, stored without pickles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import write_whole
from earbit.progress import progress

FORMAT = "earbit-kmeans-1"
BLOCK_FRAMES = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class KMeans:
    """A k-means model: centres of units."""

    centroids: np.ndarray
    """Float32 (units, dimensions)."""

    @property
    def digest(self) -> str:
        """SHA-256 of the centres, which labels store to identify their model."""
        shape = np.array(self.centroids.shape, np.int64).tobytes()
        return hashlib.sha256(shape + np.ascontiguousarray(self.centroids).tobytes()).hexdigest()

    def assign(self, features: np.ndarray) -> np.ndarray:
        """The nearest centre of every frame: (frames, dimensions) -> int32 (frames,).

        Distances are `||x||^2 - 2 x.c + ||c||^2`.  The first term does not affect the nearest.
        """
        n_dims = self.centroids.shape[1]
        if features.ndim != 2 or features.shape[1] != n_dims:
            raise DataError(f"features of shape {features.shape}; expected (frames, {n_dims})")
        if not np.isfinite(features).all():
            raise DataError("features are not all finite; look for broken audio or a broken model")
        offsets = np.square(self.centroids).sum(axis=1)
        blocks = [
            np.argmin(offsets - 2 * features[i : i + BLOCK_FRAMES] @ self.centroids.T, axis=1)
            for i in range(0, len(features), BLOCK_FRAMES)
        ]
        return np.concatenate([np.empty(0, np.int64), *blocks]).astype(np.int32)

    def save(self, path: Path, fit: str = "") -> None:
        """Writes the centres as safetensors atomically.  fit: what they were fitted on and how."""
        tensors = {"centroids": np.ascontiguousarray(self.centroids)}
        about = {"format": FORMAT, "fit": fit}
        write_whole(path, lambda temporary: save_file(tensors, temporary, about))

    @staticmethod
    def load_if_fitted(path: Path, fit: str) -> KMeans | None:
        """Reads a file that `save` wrote with the same `fit`; None for any other or none."""
        try:
            with safe_open(path, framework="numpy") as file:
                found = (file.metadata() or {}).get("fit")
            return KMeans.load(path) if found == fit else None
        except (SafetensorError, OSError, FormatError):
            return None

    @staticmethod
    def load(path: Path) -> KMeans:
        """Reads a file of `save`. Raises FormatError for any other file."""
        try:
            with safe_open(path, framework="numpy") as file:
                if (file.metadata() or {}).get("format") != FORMAT:
                    raise FormatError(f"{path}: not a k-means model of earbit ({FORMAT})")
                centroids = file.get_tensor("centroids")
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path}: not a readable k-means model ({error})") from error
        if centroids.dtype != np.float32 or centroids.ndim != 2 or not centroids.size:
            raise FormatError(f"{path}: centres are {centroids.dtype} of shape {centroids.shape}")
        if not np.isfinite(centroids).all():
            raise FormatError(f"{path}: centres are not all finite: damaged; fit them again")
        return KMeans(centroids)


def fit_kmeans(features: np.ndarray, *, n_units: int, seed: int) -> KMeans:
    """Clusters frames (frames, dimensions) without normalisation, as in HuBERT.

    k-means++, 20 starts, mini-batches of 10,000, at most 100 rounds, no reassignment.
    Raises DataError for fewer frames than units or values that are not finite.
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}; allowed: 0 to {2**32 - 1}")
    if features.ndim != 2:
        raise DataError(f"features of shape {features.shape}; expected (frames, dimensions)")
    if len(features) < n_units or n_units < 1:
        raise DataError(
            f"{len(features)} frames for {n_units} units; give at least one unit and more audio "
            "than units"
        )
    if not np.isfinite(features).all():
        raise DataError("features for k-means are not all finite; look for broken audio")
    model = MiniBatchKMeans(
        n_clusters=n_units,
        init="k-means++",
        max_iter=100,
        batch_size=10_000,
        tol=0.0,
        max_no_improvement=100,
        n_init=20,
        reassignment_ratio=0.0,
        compute_labels=False,
        random_state=seed,
    )
    # Waiting threads make small corpora ten times slower, and the order in which
    # they sum up the inertia may change the best of the starts.
    with threadpool_limits(limits=1), progress(f"k-means of {n_units} units", 1):
        model.fit(features)
    return KMeans(np.ascontiguousarray(model.cluster_centers_, dtype=np.float32))
