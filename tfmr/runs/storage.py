"""Folders to write to, on this machine or in an object store (gs://), and what goes wrong there, in one line."""

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from etils import epath

from tfmr.data.files import write_bytes_atomically
from tfmr.errors import InputError

AnyPath = Path | epath.Path
"""A path of this machine or of an object store; both have the methods of pathlib."""

REMOTE = {"gs": "gcsfs google-cloud-storage"}
"""The object stores that checkpoints can be written to, and the packages that they need."""


def storage_path(path: str | os.PathLike) -> AnyPath:
    """Returns the path of a folder or file, local or remote.

    Raises:
      InputError: for an object store that is not known, whose packages are missing, or that does not answer.
    """
    text = os.fspath(path)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Path(path)
    if scheme not in REMOTE:
        raise InputError(f"{text}: {scheme}:// is not supported; give a local folder or gs://BUCKET/RUN")
    remote = epath.Path(text)
    try:
        remote.exists()
    except ImportError as error:
        raise InputError(f"{text}: {scheme}:// needs: pip install {REMOTE[scheme]} ({error})") from None
    except Exception as error:  # each store has its own
        raise InputError(f"{text}: the object store does not answer ({first_line(error)})") from error
    return remote


def is_remote(path: AnyPath) -> bool:
    """Whether a path is in an object store, which can replace whole objects but neither append nor rename."""
    return not isinstance(path, Path) and "://" in os.fspath(path)


def write_text(file: AnyPath, text: str) -> None:
    """Writes a text as `write_bytes` does, in UTF-8."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: AnyPath, content: bytes) -> None:
    """Writes a file whole or not at all: under a temporary name and renamed, so that it is never seen half written."""
    if is_remote(file):
        file.write_bytes(content)  # an object appears when all of it is there
    else:
        write_bytes_atomically(Path(file), content)


def check_writable(folder: AnyPath) -> None:
    """Raises InputError where a folder cannot be made or written to; leaves nothing behind."""
    existing = folder
    while not is_remote(folder) and not existing.exists() and existing != existing.parent:
        existing = existing.parent
    with writing_named(folder):
        if not is_remote(folder) and not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
        probe = existing / f".writable-{uuid.uuid4().hex}"
        try:
            probe.write_bytes(b"writable?")
        finally:
            probe.unlink(missing_ok=True)


UNWRITABLE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room
    *(errno.EROFS, errno.EACCES, errno.EPERM),  # not allowed
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),  # no folder can be there
    *(errno.EIO, errno.ESTALE),  # the disk fails
}
REFUSED = re.compile(r"OS error|No space left|File too large|Permission denied|Read-only file system|quota|"
                     r"RESOURCE_EXHAUSTED|PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|FAILED_PRECONDITION",
                     re.IGNORECASE)  # fmt: skip
"""How libraries say that the storage refused, where they raise no OSError."""


@contextlib.contextmanager
def writing_named(folder: AnyPath, then: Callable[[], str] | None = None) -> Iterator[None]:
    """Turns the errors of a full disk or an unwritable folder into an InputError that names it and the fix.

    Args:
      folder: what is written to.
      then: tells what the user should know beside, such as what is safe.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno and error.errno in UNWRITABLE:
            reason = os.strerror(error.errno)
        elif isinstance(error, ValueError) and REFUSED.search(str(error)):  # tensorstore's
            reason = first_line(error)
        else:
            raise
        raise InputError(
            f"{folder}: cannot be written to ({reason}); make room or set its permissions, or give another --workdir"
            + (f"; {then()}" if then else "")
        ) from error


def first_line(error: BaseException) -> str:
    """Returns the kind of an error and the beginning of what it says, for a message of one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
