"""Files and folders that appear whole or not at all, and the removal of what an interrupted process left behind."""

import collections
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfmr.data.progress import reported
from tfmr.errors import InputError

_MEGABYTE = 1_000_000
_ABANDONED_AFTER = 7 * 24 * 3600.0  # seconds after which an unfinished file or folder is not expected to be continued

UNWRITABLE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # the disk is full
    *(errno.EROFS, errno.EACCES, errno.EPERM),  # permission denied
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),  # the folder cannot exist
    *(errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT),  # the disk fails or is gone
}
"""The numbers of errors that mean that a folder cannot be used."""

_latest: collections.deque[Path] = collections.deque(maxlen=100)


def temporary_path(path: Path) -> Path:
    """Returns a new name next to `path`, from which it can be renamed when it is complete."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    _latest.append(temporary)
    return temporary


def remove_unfinished() -> None:
    """Removes the temporary files and folders of this process, which is about to end."""
    for path in list(_latest):
        remove(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path for a file or folder that is renamed to `path` at the end, or removed on an error."""
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        remove(temporary)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and then renames it, so that no reader ever sees a part of it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def new_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path like `replacing`, for a file or folder that does not exist yet.

    Raises:
      InputError: if `path` already exists or cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path}: already exists; remove it or choose another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a new temporary folder, which is renamed like that of `new_path`; raises InputError as it does."""
    with new_path(path) as temporary:
        temporary.mkdir()
        yield temporary


def hash_files(paths: Sequence[Path], algorithm: str, stage: str) -> list[str]:
    """Returns the hash of each file in hexadecimal, and reports the progress; `stage` is a name for it."""
    hashes = [hashlib.new(algorithm) for _ in paths]
    total = sum(-(-path.stat().st_size // _MEGABYTE) for path in paths)
    for number, block in reported(_blocks(paths), stage, "MB", total):
        hashes[number].update(block)
    return [hash.hexdigest() for hash in hashes]


def _blocks(paths: Sequence[Path]) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """Yields the files in parts of a megabyte, each with 1 and with the number of its file."""
    for number, path in enumerate(paths):
        with path.open("rb") as file:
            while block := file.read(_MEGABYTE):
                yield 1, (number, block)


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Removes the unfinished files and folders in `folder` that match a glob pattern and are more than a week old."""
    for leftover in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished with it
            if time.time() - leftover.lstat().st_mtime > _ABANDONED_AFTER:
                remove(leftover)


def remove(path: Path) -> None:
    """Removes a file, a folder with all that is in it, or a link, as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
