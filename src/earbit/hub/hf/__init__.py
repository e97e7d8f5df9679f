"""Classes for transformers; importing this module registers them with its Auto classes.

`AutoConfig`, `AutoModel`, `AutoModelForCTC`, `AutoModelForAudioClassification` and
`AutoFeatureExtractor` then open the folders that `earbit export --format hf` writes.  Raises
UnsupportedError if transformers is not installed.
"""

from __future__ import annotations

from earbit.extras import imported

imported("transformers", "hf", "earbit.hub.hf")

from earbit.hub.hf.configuration import EarbitConfig  # noqa: E402
from earbit.hub.hf.models import (  # noqa: E402
    EarbitForAudioClassification,
    EarbitForCTC,
    EarbitModel,
)
from earbit.hub.hf.registration import register  # noqa: E402

__all__ = ["EarbitConfig", "EarbitForAudioClassification", "EarbitForCTC", "EarbitModel"]

register()
