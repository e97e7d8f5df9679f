"""Table of the kinds of output that a head is trained for."""

from __future__ import annotations

from earbit.superb.kinds.classes import CLASS
from earbit.superb.kinds.kind import Kind
from earbit.superb.kinds.segments import SEGMENTS
from earbit.superb.kinds.sequence import SEQUENCE
from earbit.superb.kinds.vector import VECTOR
from earbit.superb.task import KindName

KINDS: dict[KindName, Kind] = {
    "class": CLASS,
    "sequence": SEQUENCE,
    "vector": VECTOR,
    "segments": SEGMENTS,
}
