"""What is told of a run: metrics.jsonl, TensorBoard files, and the terminal."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from tfmr.run_directory import write_text

Values = dict[str, float | int]


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """Returns the lines of a metrics.jsonl; a last line that was cut off by a kill is left out."""
    if not file.exists():
        return []
    lines = []
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


class MetricsWriter:
    """Writes metrics.jsonl and TensorBoard files of a run that starts or continues at a step."""

    def __init__(self, file: Path, first_step: int):
        """Opens the files; lines after `first_step`, of steps that are made again, are removed."""
        from tensorboardX import SummaryWriter

        kept = [line for line in read_metrics(file) if line["step"] <= first_step]
        write_text(file, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(file.parent / "tensorboard"), purge_step=first_step + 1)

    def write(self, step: int, values: Values) -> None:
        """Adds a line, and a point to each curve; a value that is not finite is null, as JSON has no other word."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name if "/" in name else f"training/{name}", value, step)

    def close(self) -> None:
        """Finishes the files."""
        self._file.close()
        self._board.close()


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
