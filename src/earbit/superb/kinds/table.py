"""Table of the kinds of output."""

from __future__ import annotations

from earbit.superb.kinds.classes import CLASS
from earbit.superb.kinds.kind import Kind
from earbit.superb.kinds.sequence import SEQUENCE
from earbit.superb.task import KindName

KINDS: dict[KindName, Kind] = {"class": CLASS, "sequence": SEQUENCE}
