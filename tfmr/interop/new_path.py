"""Files and folders that appear only when they are complete."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfmr.data.files import temporary_path
from tfmr.errors import InputError


@contextlib.contextmanager
def new_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path for a file or folder that is renamed to `path` at the end, or removed on an error.

    Raises:
      InputError: if `path` already exists or cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path}: already exists; remove it or choose another path")
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `path` at the end, or removed on an error.

    Raises:
      InputError: if `path` already exists or cannot be written.
    """
    with new_path(path) as temporary:
        temporary.mkdir()
        yield temporary
