"""Folders that appear when all of them is written."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfmr.errors import InputError


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary folder beside `path` to write to, which becomes `path` at the end, or is removed on an error.

    Raises:
      InputError: if there is something at `path` already, or it cannot be written to.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path}: is there already: remove it, or give another folder")
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); make room, or give another") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
