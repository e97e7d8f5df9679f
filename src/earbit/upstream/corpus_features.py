"""Features of clips of a corpus, decoded one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.corpus import Corpus, load_waveform, without
from earbit.files import make_folder
from earbit.upstream.features import CacheName, FrozenFeatures, frozen_features
from earbit.upstream.upstream import Upstream

LoadAudio = Callable[[Any], NDArray[np.float32]]
"""Cut -> waveform; raises DataError for unusable audio."""


def corpus_features(
    upstream: Upstream,
    corpus: Corpus,
    ids: set[str],
    cache_dir: Path,
    waveforms: Mapping[str, NDArray[np.float32]] | None = None,
    cache: CacheName = "fp32",
    load: LoadAudio = load_waveform,
) -> tuple[FrozenFeatures, Corpus]:
    """Features of clips of a corpus, and the corpus without the clips that cannot be decoded."""
    cut_of = {cut.id: cut for cut in corpus.cuts if cut.id in ids}
    hop = upstream.hop_samples
    waveform_of: Callable[[str], NDArray[np.float32]] = (
        waveforms.__getitem__ if waveforms is not None else lambda i: load(cut_of[i])
    )
    features, unusable = frozen_features(
        upstream,
        waveform_of,
        {i: cut.recording.num_samples // hop for i, cut in cut_of.items()},
        corpus_digest=corpus.digest,
        cache_dir=make_folder(cache_dir),
        cache=cache,
    )
    return features, without(corpus, unusable)
