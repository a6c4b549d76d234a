"""Folders of the cache that are written once: under another name, renamed when complete, checked when opened.

The name of a prepared folder ends in a hash of everything that determines its content. Its manifest contains the size
of every file.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tfmr.data.corpora.corpus import fingerprint
from tfmr.data.corpora.lines import find_files
from tfmr.data.files import hash_files, remove, remove_abandoned, temporary_path, write_bytes_atomically
from tfmr.data.lock import locked
from tfmr.data.tokenizer import Tokenizer
from tfmr.data.unfinished_folder import RECORD, UnfinishedFolder
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

T = TypeVar("T", bound="PreparedFolder")


@dataclass(frozen=True)
class PreparedFolder:
    """A corpus as token arrays in a folder."""

    directory: Path
    manifest: dict[str, Any] = field(repr=False)
    """The contents of manifest.json: what the corpus was prepared from, and its counts."""
    tokenizer: Tokenizer = field(repr=False)
    """The tokenizer that the arrays were encoded with."""
    entries: tuple[int, ...] = ()
    """Number of training sentences or texts of each entry of a list of files, if they are mixed by weight."""

    @classmethod
    def open(cls: type[T], directory: Path) -> T:
        """Opens a prepared corpus.

        Raises:
          InputError: if a file is missing or does not have the size that it was written with.
          OSError: if the storage fails.
        """
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            sizes = manifest["files"]
        except (FileNotFoundError, ValueError, RecursionError, KeyError, TypeError):
            raise InputError(f"{directory}: not a prepared corpus (no readable manifest.json)") from None
        for name, size in sizes.items():
            path = directory / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise InputError(f"{path}: has {found} bytes instead of {size}" if found else f"{path}: is missing")
        file = directory / "tokenizer.json"
        return cls(directory, manifest, Tokenizer.from_json(file.read_bytes().decode(errors="replace"), str(file)))

    def content_hash(self) -> str:
        """Returns a hash of the arrays and texts as they were written.

        It does not depend on where the corpus was read from, or on how tokenizer.json is written, but on the entries if
        they are mixed by weight.
        """
        content = self.manifest["content"]
        return fingerprint(content, self.entries) if self.entries else content

    def with_entries(self: T, names: Sequence[str], total: int, count: Callable[[], list[int]]) -> T:
        """Returns the corpus with its entries, for mixing by weight.

        Args:
          names: the names of the entries, each a file or a pattern.
          total: number of training sentences or texts.
          count: returns how many of them each file has. The result is stored in the folder.
        """
        path = self.directory / "files.json"
        try:
            sizes = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            sizes = []
        if sum(sizes) != total:
            sizes = count()
            if sum(sizes) != total:
                raise InputError(f"{', '.join(names)}: changed while they were being read; try again")
            with contextlib.suppress(PermissionError):  # the cache may be read-only
                write_bytes_atomically(path, json.dumps(sizes).encode())
        ends = np.cumsum([0, *(len(find_files(name)) for name in names)])
        entries = tuple(sum(sizes[first:last]) for first, last in itertools.pairwise(ends))
        return dataclasses.replace(self, entries=entries)


def open_or_make(cls: type[T], directory: Path, write: Callable[[UnfinishedFolder], None]) -> T:
    """Returns the prepared corpus in a folder; if it is missing or damaged, `write` prepares it first.

    `write` gets a folder with the ending ".part", which it continues if an earlier process was stopped. If another
    process is preparing the same corpus, this one waits for it.
    """
    found = _open_or_discard(cls, directory)
    if found:
        log.info("Found the prepared corpus %s", directory)
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.part", "*.lock", "*.tmp-*"):
        remove_abandoned(directory.parent, pattern)

    def wait(holder: str) -> None:
        log.info("Waiting for %s, which is preparing %s", holder, directory)

    with locked(directory.with_name(f"{directory.name}.lock"), wait):
        found = _open_or_discard(cls, directory)
        if found:  # another process has prepared it
            return found
        folder = UnfinishedFolder(directory.with_name(f"{directory.name}.part"))
        try:
            write(folder)
            folder.rename(directory)
        except InputError as error:
            # What is wrong with the text stays wrong, but a file that cannot be read now may be readable later.
            if not isinstance(error.__context__, OSError):
                folder.discard()
            raise
    return cls.open(directory)


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Writes manifest.json with the sizes of all other files and a hash of their content; it must be written last."""
    files = sorted(path for path in folder.iterdir() if path.name != RECORD)
    content = hashlib.blake2b(digest_size=16)
    hashed = [path for path in files if path.name != "tokenizer.json"]
    for path, digest in zip(hashed, hash_files(hashed, "blake2b", "Hashing the arrays"), strict=True):
        content.update(f"{path.name} {digest}\n".encode())
    sizes = {path.name: path.stat().st_size for path in files}
    manifest = {**values, "content": content.hexdigest(), "files": sizes}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _open_or_discard(cls: type[T], directory: Path) -> T | None:
    if not os.path.lexists(directory):
        return None
    try:
        return cls.open(directory)
    except InputError as error:
        log.warning("The prepared corpus is damaged and will be prepared again: %s", error)
        doomed = temporary_path(directory)
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            directory.rename(doomed)  # so that no other process sees it partly removed
        remove(doomed)
        return None
