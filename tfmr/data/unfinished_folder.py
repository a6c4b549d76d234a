"""A folder that is filled in stages, and that is continued after a stop at any moment.

Its record lists the stages, what each has counted so far, and the sizes of its files at that time. Whatever else is in
the folder was written after the record and before the stop: it is removed and written again.
"""

import dataclasses
import json
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Any

from tfmr.data.files import remove, write_bytes_atomically
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

RECORD = "unfinished.json"
"""The name of the record."""

_EVERY = 30.0  # seconds of work that a stop can lose


@dataclasses.dataclass(frozen=True)
class _Stage:
    done: bool
    counts: dict[str, Any]
    """Values that JSON can represent: where the stage is, or its result."""
    files: dict[str, int]
    """The size of each of its files in bytes; {} until they are recorded."""


class UnfinishedFolder:
    """A folder that one process fills. The names of the files of a stage begin with the name of the stage and a dot."""

    def __init__(self, path: Path):
        """Creates the folder, or continues it as its record describes it."""
        self.path = path
        self._owner = secrets.token_hex(8)
        path.mkdir(exist_ok=True)
        self._stages = self._read_stages()
        self._restore()
        self._write()
        if self._stages:
            complete = [name for name, stage in self._stages.items() if stage.done]
            log.info(
                "Continuing a preparation that was stopped; already complete: %s", ", ".join(complete) or "nothing"
            )

    def result(self, stage: str) -> dict[str, Any] | None:
        """Returns the counts of a complete stage; None if it is not complete."""
        found = self._stages.get(stage)
        return found.counts if found and found.done else None

    def progress(self, stage: str) -> dict[str, Any]:
        """Returns the counts of a stage that was begun; {} if it was not."""
        return self._stages[stage].counts if stage in self._stages else {}

    def save(self, stage: str, counts: dict[str, Any], *, done: bool = False) -> None:
        """Says that a stage has come this far, which is recorded every 30 s. All that it has counted must be in files.

        Raises:
          InputError: if another process has opened the folder since.
        """
        self._stages[stage] = _Stage(done, dict(counts), {})
        if time.monotonic() - self._saved < _EVERY:
            return
        self._check_owned()
        for name, found in self._stages.items():
            if not found.files:
                files = {path.name: _size_on_disk(path) for path in sorted(self.path.glob(f"{name}.*"))}
                self._stages[name] = dataclasses.replace(found, files=files)
        self._write()

    def rename(self, path: Path) -> None:
        """Gives the folder its final name; raises InputError as `save` does."""
        self._check_owned()
        self.path.rename(path)
        (path / RECORD).unlink()

    def discard(self) -> None:
        """Removes the folder, unless another process has opened it since."""
        if self._is_owned():
            remove(self.path)

    def _read_stages(self) -> dict[str, _Stage]:
        try:
            stages = json.loads((self.path / RECORD).read_bytes())["stages"]
            return {name: _Stage(**values) for name, values in stages.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s: is damaged; the preparation starts again", self.path / RECORD)
            return {}

    def _restore(self) -> None:
        """Cuts the files back to the sizes in the record and removes all others."""
        sizes = {name: size for stage in self._stages.values() for name, size in stage.files.items()}
        found = {path.name: path.stat().st_size for path in self.path.iterdir()}
        if damaged := [name for name, size in sizes.items() if found.get(name, -1) < size]:
            log.warning("%s: is damaged; the preparation starts again", self.path / damaged[0])
            self._stages, sizes = {}, {}
        for name in found:
            if name in sizes:
                os.truncate(self.path / name, sizes[name])
            else:
                (self.path / name).unlink()

    def _write(self) -> None:
        stages = {name: dataclasses.asdict(stage) for name, stage in self._stages.items()}
        record = json.dumps({"owner": self._owner, "stages": stages})
        write_bytes_atomically(self.path / RECORD, record.encode())
        self._saved = time.monotonic()

    def _is_owned(self) -> bool:
        try:
            return json.loads((self.path / RECORD).read_bytes())["owner"] == self._owner
        except (FileNotFoundError, ValueError):
            return False

    def _check_owned(self) -> None:
        # Only for file systems without locks, and those whose locks hold on one host only.
        if not self._is_owned():
            raise InputError(
                f"{self.path}: another process is preparing the same corpus; start again when it has ended"
            )


def _size_on_disk(path: Path) -> int:
    """Returns the size of a file, all of which is on the disk: a record must not survive a power failure alone."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size
