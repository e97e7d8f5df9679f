"""Quality of units: agreement with phones, and how evenly they are used.

Letters: U units, P phones; the joint counts (U, P) are numbers of frames by unit and phone.
Source: HuBERT (arXiv 2106.07447), section on cluster quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earbit.errors import DataError

SILENCE = "sil"


@dataclass(frozen=True, slots=True)
class UnitQuality:
    """Figures of merit. Phone-based figures are None without known phones."""

    n_frames: int
    n_dead_units: int
    """Number of units without frames."""
    entropy_bits: float
    """Entropy of the unit distribution; log2(units) for uniform use."""
    phone_purity: float | None = None
    """Fraction of frames whose phone is the most frequent of their unit."""
    cluster_purity: float | None = None
    """Fraction of frames whose unit is the most frequent of their phone."""
    pnmi: float | None = None
    """Mutual information of phones and units over the entropy of phones."""


def unit_quality(
    units: np.ndarray, n_units: int, phones: Sequence[str] | None = None
) -> UnitQuality:
    """Quality of frame labels: units int (frames,), and phones of the same frames if known.

    Raises DataError for a unit outside 0 to n_units - 1 and for a wrong number of phones.
    """
    if len(units) and not 0 <= units.min() <= units.max() < n_units:
        raise DataError(f"units {units.min()} to {units.max()}; allowed: 0 to {n_units - 1}")
    if phones is not None and len(phones) != len(units):
        raise DataError(f"{len(phones)} phones for {len(units)} units; give one per frame")
    known = PhoneCounts(n_units)
    if phones:
        known.add(units, phones)
    return quality_of(np.bincount(units, minlength=n_units), known)


class PhoneCounts:
    """Numbers of frames by unit and phone, collected clip by clip."""

    def __init__(self, n_units: int) -> None:
        self._n_units = n_units
        self._of_phone: dict[str, np.ndarray] = {}

    def add(self, units: np.ndarray, phones: Sequence[str]) -> None:
        """Counts the frames of a clip: units int (frames,), and their phones."""
        names, index = np.unique(np.asarray(phones), return_inverse=True)
        for number, name in enumerate(names.tolist()):
            counts = np.bincount(units[index == number], minlength=self._n_units)
            self._of_phone[name] = self._of_phone.get(name, 0) + counts

    @property
    def counts_UP(self) -> np.ndarray:
        """Int64 (units, phones), in the order of the phones."""
        columns = [self._of_phone[name] for name in sorted(self._of_phone)]
        return np.array(columns, np.int64).reshape(len(columns), self._n_units).T


def quality_of(histogram: np.ndarray, phones: PhoneCounts) -> UnitQuality:
    """Quality of units: frames of every unit (units,), and of those with known phones by phone."""
    n_frames = int(histogram.sum())
    shares = histogram / max(n_frames, 1)
    n_dead = int((shares == 0).sum())
    entropy_bits = float(_entropy(shares) / np.log(2))
    counts_UP = phones.counts_UP
    if not counts_UP.size or not counts_UP.any():
        return UnitQuality(n_frames, n_dead, entropy_bits)
    joint_UP = counts_UP / counts_UP.sum()
    phone_entropy = _entropy(joint_UP.sum(axis=0))
    information = _entropy(joint_UP.sum(axis=1)) + phone_entropy - _entropy(joint_UP.ravel())
    return UnitQuality(
        n_frames=n_frames,
        n_dead_units=n_dead,
        entropy_bits=entropy_bits,
        phone_purity=float(joint_UP.max(axis=1).sum()),
        cluster_purity=float(joint_UP.max(axis=0).sum()),
        pnmi=information / phone_entropy if phone_entropy > 0 else 0.0,
    )


def phones_at_rate(
    alignment: Sequence[tuple[str, float, float]],
    n_frames: int,
    rate_hz: float,
    first_centre_s: float,
) -> list[str]:
    """The phone at the centre of every frame, from (phone, start_s, duration_s); else silence.

    first_centre_s: centre of the receptive field of frame 0; that of frame t is t / rate_hz later.
    Raises DataError for a start or a duration that is negative or not finite.
    """
    phones = [SILENCE] * n_frames
    for phone, start_s, duration_s in alignment:
        if not (0 <= start_s < np.inf and 0 <= duration_s < np.inf):
            raise DataError(
                f"phone {phone!r}: start_s={start_s}, duration_s={duration_s}; allowed: 0 or "
                "more and finite; correct the alignment"
            )
        end_s = start_s + duration_s
        first = max(0, int(np.ceil((start_s - first_centre_s) * rate_hz)))
        last = min(n_frames, int(np.ceil((end_s - first_centre_s) * rate_hz)))
        phones[first:last] = [phone] * max(0, last - first)
    return phones


def _entropy(shares: np.ndarray) -> float:
    """Entropy in nats."""
    used = shares[shares > 0]
    # Adding 0 turns the -0.0 of a single probability of 1 into 0.0.
    return float(-(used * np.log(used)).sum()) + 0.0
