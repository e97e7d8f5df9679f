"""K-means of feature frames: its centroids are the acoustic units.

Letters: N frames, K units, D dimensions of a feature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earbit.errors import ConfigError, DataError, FormatError
from earbit.units.tensor_file import read_tensor_file, write_tensor_file

FORMAT = "earbit-kmeans-1"
BLOCK_FRAMES = 4096
"""Frames assigned at once: 16 MB of distances for 500 units."""
MAX_FIT_FRAMES = 500_000
"""Frames that k-means is fitted on at most: 78 MB of MFCC, 1.5 GB of 768-wide hidden features."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KMeans:
    """Centroids of units: float32 (n_units, n_dims), finite; DataError otherwise."""

    centroids: np.ndarray

    def __post_init__(self) -> None:
        c = self.centroids
        if c.ndim != 2 or 0 in c.shape or c.dtype != np.float32 or not np.isfinite(c).all():
            raise DataError(
                f"centroids of shape {c.shape} and type {c.dtype}; "
                "finite float32 of shape (n_units, n_dims) is allowed"
            )

    @property
    def n_units(self) -> int:
        """K."""
        return len(self.centroids)

    @property
    def digest(self) -> str:
        """SHA-256 of the centroids' little-endian bytes, in hexadecimal."""
        return hashlib.sha256(self.centroids.astype("<f4").tobytes()).hexdigest()

    def assign(self, features: np.ndarray) -> np.ndarray:
        """The nearest unit of every frame: int32 (n_frames,); of equally near ones, the first.

        features: float (n_frames, n_dims).  Memory is bounded: frames are taken in blocks.
        Raises DataError for another width, and for NaN or infinity.
        """
        _check_features(features, self.centroids.shape[1])
        centroids_DK = self.centroids.astype(np.float64).T
        norms_K = (centroids_DK**2).sum(axis=0)
        units_N = np.empty(len(features), dtype=np.int32)
        for start in range(0, len(features), BLOCK_FRAMES):
            block_ND = features[start : start + BLOCK_FRAMES].astype(np.float64)
            # ||x||^2 is the same for every unit of a frame, so it does not move the minimum.
            distances_NK = norms_K - 2 * (block_ND @ centroids_DK)
            units_N[start : start + BLOCK_FRAMES] = distances_NK.argmin(axis=1)
        return units_N

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, whole or not at all; DataError when it cannot be written."""
        n_units, n_dims = self.centroids.shape
        header = {"n_units": n_units, "n_dims": n_dims, "digest": self.digest}
        write_tensor_file(Path(path), FORMAT, header, {"centroids": self.centroids})

    @classmethod
    def load(cls, path: str | Path) -> KMeans:
        """Reads what `save` wrote; FormatError when it is damaged, foreign or of another version."""
        path = Path(path)
        header, arrays = read_tensor_file(path, FORMAT, {"centroids": ("F32",)})
        try:
            kmeans = cls(centroids=arrays["centroids"])
        except DataError as error:
            raise FormatError(f"{path}: {error}; write the file again") from error
        if header.get("digest") != kmeans.digest:
            raise FormatError(
                f"{path}: the centroids have digest {kmeans.digest[:12]}, its metadata says "
                f"{str(header.get('digest'))[:12]}; the file was changed, write it again"
            )
        return kmeans


def fit_kmeans(
    features: Iterable[np.ndarray] | Callable[[], Iterable[np.ndarray]],
    *,
    n_units: int,
    seed: int,
    max_frames: int = MAX_FIT_FRAMES,
) -> KMeans:
    """K-means of all frames, or of a random `max_frames` of them if there are more.

    features: arrays (n_frames, n_dims), or a function that gives them; read once, in order, and not
    kept, so that memory holds at most `max_frames` frames in float32.  They are not normalised.
    The same seed, features and order give the same centroids, whatever the number of cores.
    Raises ConfigError for impossible counts, DataError for fewer frames than units and bad features.
    Source: HuBERT, arXiv 2106.07447, section IV-B: mini-batch k-means of scikit-learn, 10 000 frames
    a batch, 20 k-means++ starts.
    """
    # scikit-learn takes about a second to import; reading labels must not cost that.
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not 1 <= n_units <= max_frames:
        raise ConfigError(
            f"n_units={n_units}; at least 1 and at most max_frames={max_frames} are allowed"
        )
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}; 0 to {2**32 - 1} are allowed")
    frames_ND = _sample(features() if callable(features) else features, max_frames, seed)
    if len(frames_ND) < n_units:
        raise DataError(
            f"{len(frames_ND)} frames for n_units={n_units}; give more audio or fewer units"
        )
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
    # Threads add up the inertia in any order, and a last bit there can change which start wins.
    with threadpool_limits(limits=1):
        model.fit(frames_ND)
    return KMeans(centroids=np.ascontiguousarray(model.cluster_centers_, dtype=np.float32))


def _sample(arrays: Iterable[np.ndarray], max_frames: int, seed: int) -> np.ndarray:
    """Every frame while they fit, then a uniform reservoir (Vitter's algorithm R)."""
    generator = np.random.default_rng(seed)
    kept_ND = np.empty((0, 0), dtype=np.float32)
    n_seen = 0
    for i, array in enumerate(arrays):
        if i == 0:
            _check_features(array, n_dims=None)
            # Untouched pages of an empty array cost no memory.
            kept_ND = np.empty((max_frames, array.shape[1]), dtype=np.float32)
        _check_features(array, kept_ND.shape[1])
        n_direct = min(len(array), max(0, max_frames - n_seen))
        kept_ND[n_seen : n_seen + n_direct] = array[:n_direct]
        rest_ND = array[n_direct:]
        position_N = np.arange(n_seen + n_direct, n_seen + len(array))
        slot_N = generator.integers(0, position_N + 1)
        is_kept_N = slot_N < max_frames
        kept_ND[slot_N[is_kept_N]] = rest_ND[is_kept_N]
        n_seen += len(array)
    return kept_ND[:n_seen]


def _check_features(features: np.ndarray, n_dims: int | None) -> None:
    width = "n_dims" if n_dims is None else n_dims
    is_float = np.issubdtype(features.dtype, np.floating)
    if features.ndim != 2 or not is_float or n_dims not in (None, features.shape[-1]):
        raise DataError(
            f"features of shape {features.shape} and type {features.dtype}; "
            f"float of shape (n_frames, {width}) is allowed"
        )
    if not np.isfinite(features).all():
        raise DataError("features with NaN or infinity; look at the model or the audio they are of")
