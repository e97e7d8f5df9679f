"""Environment variables that libraries demand, where a bare environment lacks them."""

from __future__ import annotations

import os
import pwd


def complete_environment() -> None:
    """Sets PATH, HOME and USER where they are missing and nothing else says them.

    lhotse reads PATH when it is imported; `Path.home()` and `getpass.getuser()` fail for a user id
    without an entry in the password database, as containers have.
    """
    os.environ.setdefault("PATH", os.defpath)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("HOME", "/")
        os.environ.setdefault("USER", str(os.getuid()))
