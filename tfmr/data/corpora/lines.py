"""Reads lines of text from plain or compressed files: strict UTF-8, and only a line feed ends a line."""

import bz2
import codecs
import contextlib
import glob
import gzip
import importlib
import io
import itertools
import lzma
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import IO, NamedTuple

from tfmr.config.paths import expanded
from tfmr.data.files import hash_files
from tfmr.errors import InputError, nearest

_BYTE_ORDER_MARK = "\ufeff"
_CHUNK = 1 << 20  # number of bytes that are decoded at a time


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file as `decode_lines` does.

    gzip, bzip2, xz and zstd files are decompressed; the format is detected from their first bytes, not their names.

    Raises:
      InputError: if the file does not exist, is not UTF-8, or is compressed but damaged.
    """
    return decode_lines(_read_raw_lines(path), str(path))


def decode_lines(raw_lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yields lines without their line ends (LF or CRLF), and without a byte order mark at the start of the first.

    Raises:
      InputError: for a line that is not UTF-8; the message contains `name` and the line number.
    """
    for number, raw in enumerate(raw_lines, start=1):
        try:
            line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise InputError(
                f"{name}: line {number} is not UTF-8: byte {error.start + 1} of the line is 0x{byte:02x}; "
                "save the file as UTF-8"
            ) from None
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


def _read_raw_lines(path: Path) -> Iterator[bytes]:
    with reading(path) as file:
        yield from file


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Opens a file, decompressed; raises InputError as `read_lines` does, also for an error while it is read."""
    opened = _Opened("text", (), io.BytesIO())
    try:
        with path.open("rb") as raw:
            opened = _opened(raw, path)
            with opened.file:
                yield opened.file
    except FileNotFoundError:
        raise missing_file(path) from None
    except EOFError:
        raise InputError(f"{path}: the {opened.kind} file is truncated; copy or download it again") from None
    except opened.errors as error:
        raise InputError(f"{path}: the {opened.kind} file is damaged ({error}); copy or download it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Opened(NamedTuple):
    kind: str
    errors: tuple[type[Exception], ...]
    """The exceptions that reading a damaged file raises."""
    file: IO[bytes] | gzip.GzipFile


def _opened(raw: io.BufferedReader, path: Path) -> _Opened:
    first = raw.peek(16)
    if first.startswith(b"\x1f\x8b"):
        return _Opened("gzip", (gzip.BadGzipFile, zlib.error), gzip.GzipFile(fileobj=raw))
    if first.startswith(b"BZh") and first[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):  # a text can begin with BZh
        return _Opened("bzip2", (OSError,), bz2.BZ2File(raw))
    if first.startswith(b"\xfd7zXZ\x00"):
        return _Opened("xz", (lzma.LZMAError,), lzma.LZMAFile(raw))
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        zstd = _zstd(path)
        return _Opened("zstd", (zstd.ZstdError,), zstd.ZstdFile(raw))
    return _Opened("text", (), raw)


def _zstd(path: Path) -> ModuleType:
    for name in ("compression.zstd", "backports.zstd"):  # the first is part of Python 3.14
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise InputError(f"{path}: is a zstd file; pip install backports.zstd to read it, or decompress it first")


def read_text(path: Path) -> Iterator[str]:
    """Yields the text of a file in parts, with LF as line ends and no byte order mark; raises as `read_lines` does."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    position, begun, held = 0, False, ""
    with reading(path) as file:
        while True:
            raw = file.read(_CHUNK)
            try:
                text = held + decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                number = position - (len(error.object) - len(raw)) + error.start
                raise InputError(
                    f"{path}: is not UTF-8: byte {number + 1} is 0x{error.object[error.start]:02x}; "
                    "save the file as UTF-8"
                ) from None
            if not begun:
                begun, text = bool(text), text.removeprefix(_BYTE_ORDER_MARK)
            position += len(raw)
            held = "\r" if raw and text.endswith("\r") else ""  # the line feed may come next
            text = text.removesuffix(held).replace("\r\n", "\n")
            if text:
                yield text
            if not raw:
                return


def find_files(names: str | Sequence[str]) -> list[Path]:
    """Returns the files of names, or of patterns with `*` and `?`, in the order of the names, then of the alphabet.

    Raises:
      InputError: if a file does not exist, or is not a regular file: a corpus is read several times.
    """
    files: list[Path] = []
    for name in [names] if isinstance(names, str) else names:
        path = expanded(name)
        if path.exists() or not {"*", "?"} & set(name):
            files.append(path)
            continue
        matches = sorted(glob.glob(str(path).replace("[", "[[]"), recursive=True))
        if not matches:
            raise InputError(f"{name}: no file matches this pattern")
        files += map(Path, matches)
    for path in files:
        if not path.exists():
            raise missing_file(path)
        if not path.is_file():
            what = "a folder" if path.is_dir() else "a pipe or a device, but a corpus is read several times"
            raise InputError(f"{path}: is {what}; provide a regular file")
    return files


def missing_file(path: Path) -> InputError:
    """Returns the error for a file that does not exist; it suggests the file with the most similar name."""
    if not path.parent.is_dir():
        return InputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_symlink():
        return InputError(f"{path}: is a link to {os.readlink(path)}, which does not exist")
    others = sorted(other.name for other in path.parent.iterdir())
    return InputError(f"{path}: no such file{nearest(path.name, others)}")


def read_pairs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Yields the lines of two files in pairs; raises InputError with both counts if one file has more lines."""
    lines = itertools.zip_longest(read_lines(source), read_lines(target))
    for number, (source_line, target_line) in enumerate(lines):
        if source_line is None or target_line is None:
            rest = 1 + sum(1 for _ in lines)
            counts = (number + rest, number) if target_line is None else (number, number + rest)
            raise InputError(
                f"{source} has {counts[0]} lines but {target} has {counts[1]}: line i of one must be the "
                "translation of line i of the other"
            )
        yield source_line, target_line


def read_tsv(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the source and target of each line; raises InputError for a line that does not have exactly one tab."""
    return split_tsv(read_lines(path), str(path))


def split_tsv(lines: Iterable[str], name: str) -> Iterator[tuple[str, str]]:
    """Yields the source and target of each line as `read_tsv` does; error messages contain `name`."""
    for number, line in enumerate(lines, start=1):
        source, *rest = line.split("\t")
        if len(rest) != 1:
            raise InputError(
                f"{name}: line {number} has {len(rest)} tabs; there must be one, between source and target"
            )
        yield source, rest[0]


def sha256_of_files(paths: Sequence[Path]) -> list[str]:
    """Returns the sha256 of each file in hexadecimal; raises InputError if one cannot be read."""
    try:
        return hash_files(paths, "sha256", "Hashing the input files")
    except FileNotFoundError as error:
        raise missing_file(Path(error.filename)) from None
    except OSError as error:
        names = error.filename or ", ".join(map(str, paths))  # a file that was already open has no name
        raise InputError(f"{names}: cannot be read ({error.strerror})") from None
