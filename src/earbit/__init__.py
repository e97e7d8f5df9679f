"""earbit: speech encoders with 1-bit weights and activations.

The names below are imported on first use, so that `import earbit` stays fast.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from earbit.extras import needed_for_training

if TYPE_CHECKING:
    from earbit.audio.corpus import Corpus, open_corpus
    from earbit.audio.decode import read_audio
    from earbit.cost.profile import profile_model
    from earbit.errors import ConfigError, DataError, EarbitError, FormatError, UnsupportedError
    from earbit.export.verb import export_to
    from earbit.load import load_model, random_model
    from earbit.model import AudioModel, ModelConfig
    from earbit.model_file import save_model
    from earbit.presets import preset
    from earbit.quantize.calibrate import calibrate
    from earbit.quantize.convert import convert
    from earbit.quantize.student import quantized_copy
    from earbit.runtime.session import Session

__version__ = "0.1.0"

_HOME = {
    "AudioModel": "model",
    "ConfigError": "errors",
    "Corpus": "audio.corpus",
    "DataError": "errors",
    "EarbitError": "errors",
    "FormatError": "errors",
    "ModelConfig": "model",
    "Session": "runtime.session",
    "UnsupportedError": "errors",
    "calibrate": "quantize.calibrate",
    "convert": "quantize.convert",
    "export_to": "export.verb",
    "load_model": "load",
    "open_corpus": "audio.corpus",
    "preset": "presets",
    "profile_model": "cost.profile",
    "quantized_copy": "quantize.student",
    "random_model": "load",
    "read_audio": "audio.decode",
    "save_model": "model_file",
}
__all__ = [
    "ConfigError",
    "DataError",
    "EarbitError",
    "FormatError",
    "Session",
    "UnsupportedError",
    "__version__",
    "read_audio",
]
if find_spec("torch") is not None:
    # `from earbit import *` takes what is installed.
    __all__ += [
        "AudioModel",
        "Corpus",
        "ModelConfig",
        "calibrate",
        "convert",
        "export_to",
        "load_model",
        "open_corpus",
        "preset",
        "profile_model",
        "quantized_copy",
        "random_model",
        "save_model",
    ]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'earbit' has no attribute {name!r}")
    try:
        return getattr(import_module(f"earbit.{_HOME[name]}"), name)
    except ModuleNotFoundError as missing:
        error = needed_for_training(missing, f"earbit.{name}")
        if error is None:
            raise
        raise error from missing


def __dir__() -> list[str]:
    return sorted(__all__)
