"""What is told of a run: metrics.jsonl, TensorBoard files, and the terminal."""

import json
import math
import sys
import time
from typing import Any

from tfmr.metrics_file import read_lines
from tfmr.storage import AnyPath, is_remote, write_text, writing_named

Values = dict[str, float | int]


class MetricsWriter:
    """Writes metrics.jsonl and TensorBoard files of a run that starts or continues at a step.

    An object store cannot add a line to a file: there, metrics.jsonl is written anew by each `flush`, and there are no
    TensorBoard files.
    """

    def __init__(self, file: AnyPath, first_step: int):
        """Opens the files; lines after `first_step`, of steps that are made again, are removed."""
        kept = [json.dumps(line) + "\n" for line in read_lines(file) if line["step"] <= first_step]
        with writing_named(file.parent):
            write_text(file, "".join(kept))
            self._lines = _RewrittenLines(file, kept) if is_remote(file) else file.open("a", encoding="utf-8")
        self._file = file
        self._board = None if is_remote(file) else _tensorboard(file.parent, first_step)

    def write(self, step: int, values: Values) -> None:
        """Adds a line, and a point to each curve; a value that is not finite is null, as JSON has no other word."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with writing_named(self._file.parent):
            self._lines.write(json.dumps({"step": step, **finite}) + "\n")
            if not is_remote(self._file):
                self._lines.flush()
        if self._board is None:
            return
        for name, value in values.items():
            self._board.add_scalar(name if "/" in name else f"training/{name}", value, step)

    def flush(self) -> None:
        """Makes sure that what was added is in metrics.jsonl: before a checkpoint, which must not be ahead of it."""
        with writing_named(self._file.parent):
            self._lines.flush()

    def close(self) -> None:
        """Finishes the files."""
        with writing_named(self._file.parent):
            try:
                self._lines.close()
            finally:
                if self._board:
                    self._board.close()


class _RewrittenLines:
    """A text file in an object store, whose objects are only ever written whole."""

    def __init__(self, file: AnyPath, lines: list[str]):
        self._file, self._parts = file, lines

    def write(self, line: str) -> None:
        self._parts.append(line)

    def flush(self) -> None:
        write_text(self._file, "".join(self._parts))

    close = flush


def _tensorboard(folder: AnyPath, first_step: int) -> Any:
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)


class Progress:
    """One line that is always up to date on a terminal; a line now and then in a log."""

    def __init__(self, first_step: int, steps: int):
        self._terminal = sys.stderr.isatty()
        self._first = first_step
        self._steps = steps
        self._start = time.monotonic()
        self._last_line = -math.inf

    def show(self, step: int, values: Values) -> None:
        """Shows step, loss, tokens per second and the time left."""
        now = time.monotonic()
        if not self._terminal and now - self._last_line < 30.0 and step != self._steps:
            return
        self._last_line = now
        left = (now - self._start) / max(step - self._first, 1) * (self._steps - step)
        text = (
            f"step {step}/{self._steps}  loss {values['loss']:.4f}  "
            f"{values['tokens_per_second']:,.0f} tokens/s  {_duration(left)} left"
        )
        self._write(f"\r\x1b[2K{text}" if self._terminal else f"{text}\n")

    def tell(self, text: str) -> None:
        """Writes a line that stays."""
        self._write(f"\r\x1b[2K{text}\n" if self._terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


class NoMetricsWriter(MetricsWriter):
    """That of a process that writes nothing."""

    def __init__(self):
        pass

    def write(self, step: int, values: Values) -> None:
        """Does nothing."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class NoProgress(Progress):
    """That of a process that shows nothing."""

    def __init__(self):
        pass

    def show(self, step: int, values: Values) -> None:
        """Does nothing."""

    def tell(self, text: str) -> None:
        """Does nothing."""


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
