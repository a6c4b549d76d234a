"""Locks that keep two processes from writing to the same run directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tfmr.data import lock
from tfmr.errors import InputError
from tfmr.runs.storage import AnyPath, is_remote, writing_named


@contextlib.contextmanager
def locked(file: AnyPath, work: str) -> Iterator[None]:
    """Holds a lock inside its context, then removes the lock file, and its folder if that is new and empty.

    Object stores, and file systems without locks, are not locked.

    Args:
      file: the lock file.
      work: what is done under the lock, for the message: "training".

    Raises:
      InputError: if another process holds the lock. The message names it and its host.
    """
    if is_remote(file):
        yield
        return
    file = Path(file).absolute()

    def refuse(holder: str) -> None:
        raise InputError(
            f"{file.parent}: {holder} is {work} there; wait until it ends, stop it, or choose another folder"
        )

    with contextlib.ExitStack() as stack:
        if not file.parent.exists():
            stack.callback(_remove_if_empty, file.parent)
        with writing_named(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock.locked(file, refuse))
        yield


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
