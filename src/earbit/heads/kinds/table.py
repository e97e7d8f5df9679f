"""Table of the kinds of output that a head is trained for."""

from __future__ import annotations

from earbit.heads.kinds.classes import CLASS
from earbit.heads.kinds.kind import Kind
from earbit.heads.kinds.segments import SEGMENTS
from earbit.heads.kinds.sequence import SEQUENCE
from earbit.heads.kinds.vector import VECTOR

KINDS: dict[str, Kind] = {
    "class": CLASS,
    "sequence": SEQUENCE,
    "vector": VECTOR,
    "segments": SEGMENTS,
}
