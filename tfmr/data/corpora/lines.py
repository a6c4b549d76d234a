"""Lines of text from files, plain or gzip: strict UTF-8, and a line ends at a line feed only."""

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfmr.errors import InputError, nearest

_BYTE_ORDER_MARK = "\ufeff"


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file; see `decode_lines`. A name that ends in .gz is read as gzip.

    Raises:
      InputError: if there is no such file, it is not UTF-8, or it is named .gz and is not (all of) a gzip file.
    """
    return decode_lines(_read_raw_lines(path), str(path))


def decode_lines(raw_lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yields lines without their ends (line feed, or carriage return and line feed) or a byte order mark at the start.

    Raises:
      InputError: for a line that is not UTF-8, with the name of what is read and the line's number.
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
        raise InputError(f"{path}: is named .gz but is not a whole gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_text(path: Path) -> str:
    """Returns the whole text of a file with line feeds as line ends, without a byte order mark; see `read_lines`."""
    raw = b"".join(_read_raw_lines(path))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8: byte {error.start + 1} is 0x{raw[error.start]:02x}; save the file as UTF-8"
        ) from None
    return text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n")


def missing_file(path: Path) -> InputError:
    """Returns the error for a file that is not there, naming the nearest that is."""
    if not path.parent.is_dir():
        return InputError(f"{path}: there is no folder {path.parent}")
    return InputError(f"{path}: there is no such file{nearest(path.name, _names(path.parent))}")


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def read_pairs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Yields the lines of two files side by side; raises InputError if one has more, with both counts."""
    lines = itertools.zip_longest(read_lines(source), read_lines(target))
    for number, (source_line, target_line) in enumerate(lines):
        if source_line is None or target_line is None:
            rest = 1 + sum(1 for _ in lines)
            counts = (number + rest, number) if target_line is None else (number, number + rest)
            raise InputError(f"{source} has {counts[0]} lines but {target} has {counts[1]}: they must be line by line")
        yield source_line, target_line


def read_tsv(path: Path) -> Iterator[tuple[str, str]]:
    """Yields source and target of each line; raises InputError for a line without exactly one tab."""
    return split_tsv(read_lines(path), str(path))


def split_tsv(lines: Iterable[str], name: str) -> Iterator[tuple[str, str]]:
    """Yields source and target of each line; raises InputError, with the name of what is read, as `read_tsv` does."""
    for number, line in enumerate(lines, start=1):
        source, *rest = line.split("\t")
        if len(rest) != 1:
            raise InputError(f"{name}: line {number} has {len(rest)} tabs instead of one between source and target")
        yield source, rest[0]


def sha256_of_file(path: Path) -> str:
    """Returns the sha256 of a file's bytes, in hexadecimal; raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise missing_file(path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
