"""Errors of the compiled core about audio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from earbit.errors import DataError


@contextmanager
def data_errors(audio: str) -> Iterator[None]:
    """Context that raises DataError for an error of the core; audio: its subject."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{audio}: {error}") from error
    except MemoryError as error:
        raise DataError(f"{audio} needs more memory than there is; cut it") from error
