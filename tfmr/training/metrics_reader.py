"""The metrics of training, read while the next step runs."""

from collections.abc import Callable

import jax
import numpy as np

from tfmr.runs.metrics import MetricsWriter, Progress
from tfmr.runs.working_time import working_time

MOST_SKIPPED = 10
"""Training ends after this many consecutive steps without a finite gradient. A single one can be due to its batch."""


class Diverged(Exception):
    """Too many consecutive steps had no finite gradient, so training made no progress."""


class MetricsReader:
    """Reads the metrics of each step after the next step has been dispatched, so that the device never waits."""

    def __init__(
        self, writer: MetricsWriter, progress: Progress, log_every: int, latest_step: Callable[[], int | None]
    ):
        self._writer = writer
        self._progress = progress
        self._log_every = log_every
        self._latest_step = latest_step
        self._waiting: tuple[int, dict, float] | None = None
        self.restart_clock()

    def restart_clock(self) -> None:
        """Excludes the time since the last step from tokens per second and MFU."""
        # The number of tokens, and the seconds that they would take at the peak of the chips.
        self._work, self._since = np.zeros(2), working_time()
        self._all_work, self._start = self._work, self._since

    def read_previous(self, step: int, metrics: dict, seconds_at_peak: float = 0.0) -> None:
        """Takes the metrics of the step that was just dispatched, and reads those of the previous step.

        `seconds_at_peak` is what each of its tokens would take at the peak of the chips; 0 if that is not known.
        """
        self._read()
        self._waiting = (step, metrics, seconds_at_peak)

    def finish(self) -> None:
        """Reads the metrics of the last dispatched step."""
        # The step before may have been read only when this one had ended, and the time in between is not a step's.
        if self._waiting is not None:
            self._work, self._since = self._all_work, self._start
        self._read()

    def _read(self) -> None:
        if self._waiting is None:
            return
        step, metrics, seconds_at_peak = self._waiting
        self._waiting = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        tokens = values.pop("tokens")
        work = np.array([tokens, tokens * seconds_at_peak])
        self._work, self._all_work = self._work + work, self._all_work + work
        self._report_skipped(step, int(values.pop("skipped_in_a_row")))
        if step % self._log_every:
            return
        now = working_time()
        values["tokens_per_second"], utilisation = (self._work / max(now - self._since, 1e-9)).tolist()
        if utilisation > 0:
            values["mfu"] = utilisation
        self._work, self._since = np.zeros(2), now
        self._writer.write(step, values)
        self._progress.show(step, values)

    def _report_skipped(self, step: int, in_a_row: int) -> None:
        """Reports a skipped step; raises Diverged if there were too many in a row."""
        if in_a_row == 0:
            return
        self._progress.print(f"step {step}  skipped: the gradient is not finite ({in_a_row} in a row)")
        if in_a_row >= MOST_SKIPPED:
            saved = self._latest_step()
            raise Diverged(
                f"step {step}: no finite gradient in {in_a_row} consecutive steps (newest checkpoint: "
                f"{saved or 'none'}); start over in another --workdir with a lower training.learning_rate or with "
                "training.gradient_clip"
            )
