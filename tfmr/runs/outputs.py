"""Files that a command writes: checks before any work, and one-line errors for failed writes."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import UNWRITABLE, AnyPath, check_writable, storage_path

_STDIN, _STDOUT = 0, 1  # file descriptors
_OF_A_RUN = (
    "config.json",
    "tokenizer.json",
    "base.json",
    "metrics.jsonl",
    "checkpoints",
    "best",
    "averaged",
    "ctranslate2",
    "damaged",
)


def check_output(path: str, inputs: Iterable[str], runs: Iterable[str | os.PathLike] = ()) -> None:
    """Checks that an output can be written without replacing a file that is needed. Leaves no file behind.

    Args:
      path: the file to write. Empty: standard output.
      inputs: the files to read. Empty names: standard input.
      runs: the run directories to read.

    Raises:
      InputError: if the output is one of the inputs or a file of one of the runs, or cannot be written.
    """
    name = f"--output = {path!r}" if path else "standard output"
    output = _regular(path or _STDOUT)
    if output and any(
        os.path.samestat(output, read) for read in map(_regular, (file or _STDIN for file in inputs)) if read
    ):
        raise InputError(f"{name}: is also an input; choose another file")
    if not path:
        return
    for run in runs:
        if _is_part(Path(path), RunDirectory(run)):
            raise InputError(f"{name}: is part of the run {run}; choose another file")
    if Path(path).is_dir():
        raise InputError(f"{name}: is a folder; choose a file name")
    if not Path(path).parent.exists():
        raise InputError(f"{name}: the folder {Path(path).parent} does not exist; create it or choose another file")
    with _named(name):
        _try_to_open(Path(path))


class UnwrittenOutput(InputError):
    """The output of an evaluation could not be written; the evaluation itself is complete."""

    def __init__(self, error: InputError, scores: dict):
        """Takes the reason, and the scores of the evaluation."""
        super().__init__(str(error))
        self.scores = scores


@contextlib.contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """Opens a file to write to, or standard output if `path` is empty.

    Raises:
      InputError: if the file cannot be written, for example because the disk is full.
    """
    if not path:
        yield sys.stdout.buffer
        return
    with _named(f"--output = {path!r}"), Path(path).open("wb") as file:
        yield file


def output_folder(path: str) -> AnyPath:
    """Returns a folder, which is created if needed; raises InputError if that fails or it cannot be written to."""
    folder = storage_path(path)
    try:
        check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except InputError as error:
        raise InputError(
            f"--output = {path!r}: cannot be written to ({_reason(error)}); choose another folder"
        ) from None
    return folder


def check_new_path(path: str) -> None:
    """Raises InputError if a file or folder already exists or cannot be created. Leaves nothing behind."""
    if not path:
        raise InputError("the output path is empty; give a path that does not exist yet")
    if Path(path).exists():
        raise InputError(f"{path}: already exists; remove it or choose another path")
    try:
        check_writable(Path(path).parent)
    except InputError as error:
        raise InputError(f"{path}: cannot be written ({_reason(error)}); choose another path") from None


def _reason(error: InputError) -> object:
    return getattr(error.__cause__, "strerror", None) or error.__cause__


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:  # such as a closed pipe
            raise
        raise InputError(
            f"{name}: cannot be written ({error.strerror}); free up space or choose another file"
        ) from None


def _regular(file: str | int) -> os.stat_result | None:
    """Returns the status of a regular file or file descriptor; None if it is missing or something else."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _is_part(path: Path, run: RunDirectory) -> bool:
    """Returns whether a path is one of the files that a run consists of, or would be in one of its folders."""
    try:
        parts = path.resolve().relative_to(Path(run.path).resolve()).parts
    except ValueError:
        return False
    return parts[:1] in [(name,) for name in _OF_A_RUN] or (parts[:1] == ("evaluation",) and path.exists())


def _try_to_open(path: Path) -> None:
    """Raises OSError if a file cannot be opened for writing. Does not change it."""
    if path.is_file():
        path.open("r+b").close()
    elif not path.exists():
        path.open("xb").close()
        path.unlink()
    # Opening a pipe would wait for its reader.
