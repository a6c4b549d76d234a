"""Locks that keep two processes from writing to the same folder."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(file: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock inside its context, then removes the lock file.

    The operating system releases the lock when the process ends for any reason, so a lock file left by a killed process
    has no effect. File systems without locks are not locked.

    Args:
      file: the lock file, in a folder that exists.
      busy: called with the name of the process that holds the lock, if there is one. It raises an exception, or else
        this process waits for the other one.
    """
    descriptor = _acquire(file, busy)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # before the lock is released: afterwards it may be the file of another process
        os.close(descriptor)


def _acquire(file: Path, busy: Callable[[str], None]) -> int:
    """Returns the open lock file once this process holds the lock."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, busy)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(file, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on host {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)


def _lock(descriptor: int, busy: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy(os.read(descriptor, 1000).decode(errors="replace").strip() or "another process")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # the file system has no locks
        pass


def _is_still(file: Path, descriptor: int) -> bool:
    """Returns whether an open file still has its name. Its holder removes it before releasing the lock."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False
