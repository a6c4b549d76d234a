"""Profiles of a few training steps, for xprof and TensorBoard."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import jax

from tfmr.runs.storage import AnyPath, write_bytes, writing_named


class Profile:
    """Profiles the devices of this process from the start of one step to the end of another.

    The profile is collected in a temporary folder, since the profiler writes to local folders only, and copied to its
    own folder at the end.
    """

    def __init__(self, steps: tuple[int, int] | None, folder: AnyPath, report: Callable[[str], None]):
        """Takes the first and last step (None: no profile), the folder to write to, and what prints a line."""
        self._first, self._last = steps or (0, 0)
        self._folder, self._report = folder, report
        self._collected: tempfile.TemporaryDirectory | None = None

    def starts_at(self, step: int) -> bool:
        """Returns whether this is the first step of the profile."""
        return step == self._first

    def ends_at(self, step: int) -> bool:
        """Returns whether this is the last step of a profile that was started."""
        return self._collected is not None and step == self._last

    def start(self) -> None:
        """Starts the profiler. All steps before must have ended on the devices."""
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # it slows down the loop and fills the file with calls of Python functions
        self._collected = tempfile.TemporaryDirectory(prefix="tfmr-profile-")
        jax.profiler.start_trace(self._collected.name, profiler_options=options)

    def step(self, step: int) -> AbstractContextManager:
        """Returns the context in which a step is dispatched, so that the profile shows where steps begin and end."""
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def close(self) -> None:
        """Ends the profiler if it is running, and writes the profile."""
        if self._collected is None:
            return
        collected, self._collected = self._collected, None
        with collected as folder, writing_named(self._folder):
            jax.profiler.stop_trace()
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    copy = self._folder / file.relative_to(folder)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    write_bytes(copy, file.read_bytes())
        self._report(f"profile: {self._folder}; open it with xprof --logdir {self._folder}")
