"""The progress of training on the terminal."""

import math
import sys
import time

from tfmr.runs.metrics import Values


class Progress:
    """A line that is kept up to date on a terminal, or a line every 30 seconds in a log; nothing unless `shown`."""

    def __init__(self, first_step: int, steps: int, shown: bool):
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._first = first_step
        self._steps = steps
        self._start = time.monotonic()
        self._last_line = -math.inf

    def show(self, step: int, values: Values) -> None:
        """Shows the step, the loss, tokens per second and the time left."""
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

    def print(self, text: str) -> None:
        """Writes a line that stays."""
        self._write(f"\r\x1b[2K{text}\n" if self._terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        if self._shown:
            print(text, end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
