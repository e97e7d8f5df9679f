"""Errors of the compiled core about audio and programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from earbit import _core
from earbit.errors import DataError, FormatError


@contextmanager
def data_errors(audio: str) -> Iterator[None]:
    """Context that raises DataError for an error of the core; audio: its subject.

    Values of the program that do not fit each other are no fault of the audio: FormatError.
    """
    try:
        yield
    except _core.UnfitRows as error:
        raise FormatError(f"{audio}: {error}; export the program again") from error
    except ValueError as error:
        raise DataError(f"{audio}: {error}") from error
    except MemoryError as error:
        raise DataError(f"{audio} needs more memory than there is; cut it") from error
