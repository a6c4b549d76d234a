"""The numbers that a run logs: metrics.jsonl, TensorBoard files, and the progress on the terminal."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from tfmr.runs.storage import AnyPath, is_remote, write_text, writing_named
from tfmr.runs.working_time import working_time

Values = dict[str, float | int]


def read_metric_lines(file: AnyPath) -> list[dict[str, Any]]:
    """Returns the lines of a metrics.jsonl, each with its `step`, in file order; an empty list if there is no file.

    Lines that were cut off when a run was killed are skipped, and so are lines without metrics.
    """
    if not file.exists():
        return []
    lines = []
    for text in file.read_bytes().decode("utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def json_line(values: Any) -> str:
    """Returns values as JSON. NaN and infinities, which JSON does not have, become null."""
    return json.dumps(_finite(values), ensure_ascii=False)


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


class MetricsWriter:
    """Writes metrics.jsonl and TensorBoard files of a run that starts or continues at a step.

    Object stores cannot append to a file: there, each `flush` rewrites metrics.jsonl, and there are no TensorBoard
    files.
    """

    def __init__(self, file: AnyPath | None, first_step: int, *, evaluated: bool = True):
        """Opens the files; None: writes nothing.

        Lines after `first_step` are removed, since their steps will be repeated, and so is the evaluation of this step
        unless it is already `evaluated`.
        """
        self._file = file
        if file is None:
            return
        kept = [
            json_line(line) + "\n"
            for line in read_metric_lines(file)
            if line["step"] < first_step or (line["step"] == first_step and (evaluated or not _is_evaluation(line)))
        ]
        with writing_named(file.parent):
            write_text(file, "".join(kept))
            self._lines = _RewrittenLines(file, kept) if is_remote(file) else file.open("a", encoding="utf-8")
        self._board = None if is_remote(file) else _tensorboard(file.parent, first_step)

    def write(self, step: int, values: Values) -> None:
        """Adds a line, and a point to each curve. Values that are not finite become null in JSON."""
        if self._file is None:
            return
        with writing_named(self._file.parent):
            self._lines.write(json_line({"step": step, **values}) + "\n")
            if not is_remote(self._file):
                self._lines.flush()
        if self._board is None:
            return
        for name, value in values.items():
            self._board.add_scalar(name if "/" in name else f"training/{name}", value, step)

    def flush(self) -> None:
        """Writes everything so far to metrics.jsonl. Call it before a checkpoint, which must not be ahead."""
        if self._file is None:
            return
        with writing_named(self._file.parent):
            self._lines.flush()

    def close(self) -> None:
        """Closes the files."""
        if self._file is None:
            return
        with writing_named(self._file.parent):
            try:
                self._lines.close()
            finally:
                if self._board:
                    self._board.close()


def _is_evaluation(line: dict[str, Any]) -> bool:
    return any(name.startswith("validation/") for name in line)


class _RewrittenLines:
    """A text file in an object store, where objects can only be written as a whole."""

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
    """An updating line on a terminal, or a line every 30 seconds in a log; nothing unless `shown`."""

    def __init__(self, first_step: int, steps: int, shown: bool):
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._first = first_step
        self._steps = steps
        self._start = working_time()
        self._last_line = -math.inf

    def show(self, step: int, values: Values) -> None:
        """Shows the step, the loss, tokens per second, MFU if known, and the time left without further compilation."""
        now = time.monotonic()
        if not self._terminal and now - self._last_line < 30.0 and step != self._steps:
            return
        self._last_line = now
        left = (working_time() - self._start) / max(step - self._first, 1) * (self._steps - step)
        mfu = f"  MFU {100 * values['mfu']:.1f}%" if "mfu" in values else ""
        text = (
            f"step {step}/{self._steps}  loss {values['loss']:.4f}  "
            f"{values['tokens_per_second']:,.0f} tokens/s{mfu}  {_duration(left)} left"
        )
        self._write(f"\r\x1b[2K{text}" if self._terminal else f"{text}\n")

    def print(self, text: str) -> None:
        """Writes a permanent line."""
        self._write(f"\r\x1b[2K{text}\n" if self._terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        if self._shown:
            print(text, end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
