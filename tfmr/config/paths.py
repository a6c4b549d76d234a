"""Paths as users write them."""

import os
from pathlib import Path

from tfmr.errors import InputError


def expanded(name: str | os.PathLike) -> Path:
    """Returns a path with a home directory in place of `~` or `~user` at its start.

    Raises:
      InputError: if there is no such user.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise InputError(
            f"{os.fspath(name)}: cannot find the home directory {Path(name).parts[0]}; give the full path"
        ) from None
