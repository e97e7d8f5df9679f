"""Environment variables that libraries require."""

from __future__ import annotations

import os
import pwd


def complete_environment() -> None:
    """Sets PATH, HOME and USER if they are missing and have no other source.

    lhotse reads PATH when it is imported; `Path.home()` and `getpass.getuser()` fail for a user id
    without an entry in the password database, as containers have.
    """
    os.environ.setdefault("PATH", os.defpath)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("HOME", "/")
        os.environ.setdefault("USER", str(os.getuid()))
