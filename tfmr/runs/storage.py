"""Local folders and object stores (gs://): atomic writes, and errors of the storage as one line."""

import contextlib
import errno
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from etils import epath

from tfmr.data.files import UNWRITABLE, write_bytes_atomically
from tfmr.errors import InputError

AnyPath = Path | epath.Path
"""A local path or a path in an object store. Both have the methods of pathlib."""

REMOTE = {"gs": "gcsfs"}
"""The supported object stores, and the packages that they need."""


def storage_path(path: str | os.PathLike) -> AnyPath:
    """Returns the path of a folder or file, local or remote.

    Raises:
      InputError: for an object store that is not supported, lacks its packages, or does not respond; for a local name
        that is not UTF-8.
    """
    text = os.fspath(path)
    scheme, separator, _ = text.partition("://")
    if not separator:
        _check_encodable(path)
        return Path(path)
    if scheme not in REMOTE:
        raise InputError(f"{text}: {scheme}:// is not supported; use a local folder or gs://BUCKET/RUN")
    remote = epath.Path(text)
    try:
        remote.exists()
    except ImportError as error:
        raise InputError(
            f"{text}: {scheme}:// paths require {REMOTE[scheme]} ({error}); run: pip install {REMOTE[scheme]}"
        ) from None
    except Exception as error:  # each store has its own
        raise InputError(f"{text}: the object store is not responding ({first_line(error)}); try again") from error
    return remote


def _check_encodable(path: str | os.PathLike) -> None:
    full = os.path.abspath(path)
    try:
        full.encode("utf-8")
    except UnicodeEncodeError:  # tensorstore, which writes the checkpoints, takes no other names
        raise InputError(
            f"{full!a}: cannot be encoded as UTF-8 in this locale ({sys.getfilesystemencoding()}); set "
            "PYTHONUTF8=1 or LC_ALL=C.UTF-8 in the environment, or rename the file or folder"
        ) from None


def is_remote(path: AnyPath) -> bool:
    """Returns whether a path is in an object store, which can replace objects but neither append nor rename."""
    return not isinstance(path, Path) and "://" in os.fspath(path)


def write_text(file: AnyPath, text: str) -> None:
    """Writes a text in UTF-8 like `write_bytes`."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: AnyPath, content: bytes) -> None:
    """Writes a file atomically, so that no reader ever sees a part of it."""
    if is_remote(file):
        file.write_bytes(content)  # an object becomes visible when it is complete
    else:
        write_bytes_atomically(Path(file), content)


def check_writable(folder: AnyPath) -> None:
    """Raises InputError if a folder cannot be created or written to. Leaves nothing behind."""
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


REFUSED = re.compile(r"OS error|No space left|File too large|Permission denied|Read-only file system|quota|"
                     r"RESOURCE_EXHAUSTED|PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|FAILED_PRECONDITION",
                     re.IGNORECASE)  # fmt: skip
"""Messages of libraries that do not raise OSError when the storage refuses."""


@contextlib.contextmanager
def writing_named(folder: AnyPath, then: Callable[[], str] | None = None) -> Iterator[None]:
    """Turns the errors of a full disk or an unwritable folder into an InputError that names the folder and the fix.

    `then` returns what else the user should know, such as which checkpoint is complete.
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
            f"{folder}: cannot be written to ({reason}); free up space, fix its permissions or use another --workdir"
            + (f"; {then()}" if then else "")
        ) from error


def first_line(error: BaseException) -> str:
    """Returns the reason that an error gives, in one line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    elif isinstance(error, KeyError):
        text = f"no {text}"
    return re.split(r"\n|\. See full TensorStore", text or type(error).__name__)[0][:200]
