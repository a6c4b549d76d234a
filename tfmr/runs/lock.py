"""Locks that keep two processes from writing to the same folder."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tfmr.errors import InputError
from tfmr.runs.storage import AnyPath, is_remote, writing_named


@contextlib.contextmanager
def locked(file: AnyPath, work: str) -> Iterator[None]:
    """Holds a lock inside its context, then removes the lock file, and its folder if that is new and empty.

    The operating system releases the lock when the process ends for any reason, so a lock file left by a killed process
    has no effect. Object stores, and file systems without locks, are not locked.

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
    is_new = not file.parent.exists()
    with writing_named(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(file, work)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # before the lock is released: afterwards it may be the file of another process
        os.close(descriptor)
        if is_new:
            with contextlib.suppress(OSError):
                file.parent.rmdir()


def _acquire(file: Path, work: str) -> int:
    """Returns the open lock file once this process holds the lock."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise InputError(
                f"{file.parent}: {holder} is {work} there; wait until it ends, stop it, or choose another folder"
            ) from None
        except OSError:  # the file system has no locks
            return descriptor
        if _is_still(file, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on host {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)


def _is_still(file: Path, descriptor: int) -> bool:
    """Returns whether an open file still has its name. Its holder removes it before releasing the lock."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False
