"""Reads lines of text from plain or gzip files: strict UTF-8, and only a line feed ends a line."""

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfmr.errors import InputError, nearest

_BYTE_ORDER_MARK = "\ufeff"


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file as `decode_lines` does. A file whose name ends in .gz is read as gzip.

    Raises:
      InputError: if the file does not exist, is not UTF-8, or is named .gz but is not a complete gzip file.
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
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        raise missing_file(path) from None
    except EOFError:
        raise InputError(f"{path}: the gzip file is cut short; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: is named .gz but is not a complete gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_text(path: Path) -> str:
    """Returns the text of a file with LF as line ends and without a byte order mark; raises as `read_lines` does."""
    raw = b"".join(_read_raw_lines(path))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8: byte {error.start + 1} is 0x{raw[error.start]:02x}; save the file as UTF-8"
        ) from None
    return text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n")


def missing_file(path: Path) -> InputError:
    """Returns the error for a file that does not exist; it suggests the file with the most similar name."""
    if not path.parent.is_dir():
        return InputError(f"{path}: the folder {path.parent} does not exist")
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


def sha256_of_file(path: Path) -> str:
    """Returns the sha256 of a file in hexadecimal; raises InputError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise missing_file(path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
