"""Digest of a corpus, which runs and labels of units record."""

from __future__ import annotations

import hashlib
import json

from earbit.audio.manifest import Utterance
from earbit.audio.texts import SortedTexts


class CorpusDigest:
    """SHA-256 over ids, lengths, file sizes and labels, in an order that does not depend on files.

    Moving or reordering a corpus does not change it.
    """

    def __init__(self) -> None:
        self._lines = SortedTexts()

    def add(self, utterance: Utterance) -> None:
        """Adds an utterance."""
        u = utterance
        self._lines.add(json.dumps([u.id, u.n_samples, u.n_bytes, u.labels], sort_keys=True))

    def hexdigest(self) -> str:
        """The digest of all utterances."""
        digest = hashlib.sha256()
        separator = ""
        for line in self._lines:
            digest.update(f"{separator}{line}".encode())
            separator = "\n"
        return digest.hexdigest()
