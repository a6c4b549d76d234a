"""Folders of the cache that are made once: written under another name, renamed when whole, checked when opened.

The name of such a folder ends in a hash of all that decides its content, and it holds the size of each of its files.
"""

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

T = TypeVar("T", bound="PreparedFolder")

_ABANDONED_AFTER = 24 * 3600.0  # seconds after which a temporary folder is no longer another process's


@dataclass(frozen=True)
class PreparedFolder:
    """A corpus as token arrays, in its folder."""

    directory: Path
    """Where it lies."""
    manifest: dict[str, Any] = field(repr=False)
    """What it was made from, and counts: see manifest.json."""
    tokenizer: Tokenizer = field(repr=False)
    """The tokenizer its arrays were made with."""

    @classmethod
    def open(cls: type[T], directory: Path) -> T:
        """Opens a prepared corpus.

        Raises:
          InputError: if a file is missing or has another size than when it was written.
        """
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            sizes = manifest["files"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{directory}: holds no readable manifest.json of a prepared corpus") from None
        for name, size in sizes.items():
            path = directory / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise InputError(f"{path}: has {found} bytes instead of {size}" if found else f"{path}: is missing")
        return cls(directory, manifest, Tokenizer.from_file(directory / "tokenizer.json"))

    def content_hash(self) -> str:
        """Returns a hash of what all its files hold; reads them whole."""
        total = hashlib.blake2b(digest_size=16)
        for name in sorted(self.manifest["files"]):
            with (self.directory / name).open("rb") as file:
                total.update(f"{name} {hashlib.file_digest(file, hashlib.blake2b).hexdigest()}\n".encode())
        return total.hexdigest()


def open_or_make(cls: type[T], directory: Path, write: Callable[[Path], None]) -> T:
    """Returns a prepared corpus; where it is not there or damaged, `write` makes it in a folder that it is given."""
    found = _open_or_discard(cls, directory)
    if found:
        log.info("Found the prepared corpus %s", directory)
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    temporary = _temporary_name(directory)
    temporary.mkdir()
    try:
        write(temporary)
        _rename(cls, temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return cls.open(directory)


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Writes manifest.json, the last file of a folder: it holds the sizes of all others."""
    manifest = {**values, "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())}}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _temporary_name(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


def _open_or_discard(cls: type[T], directory: Path) -> T | None:
    if not directory.exists():
        return None
    try:
        return cls.open(directory)
    except InputError as error:
        log.warning("The prepared corpus is damaged and made again: %s", error)
        _discard(directory)
        return None


def _discard(directory: Path) -> None:
    # Renamed first: another process must never see it half removed.
    doomed = _temporary_name(directory)
    try:
        directory.rename(doomed)
    except FileNotFoundError:
        return  # another process did
    shutil.rmtree(doomed, ignore_errors=True)


def _remove_abandoned(directory: Path) -> None:
    for leftover in directory.parent.glob(f"{directory.name}.tmp-*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(leftover, ignore_errors=True)


def _rename(cls: type[T], temporary: Path, directory: Path) -> None:
    try:
        temporary.rename(directory)
    except OSError:
        # A folder that is not empty is never replaced: another process was first, with the same content.
        if _open_or_discard(cls, directory) is None:
            temporary.rename(directory)
