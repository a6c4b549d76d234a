"""A clock that pauses while JAX compiles programs."""

import time

import jax

_compiling: list[tuple[float, float]] = []
"""When programs were compiled in this process: start and end, in seconds of the monotonic clock."""


def _note_compiling(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if not event.startswith("/jax/core/compile/"):
        return
    end = time.monotonic()
    while _compiling and _compiling[-1][0] >= end - duration_secs:
        _compiling.pop()  # a function that is traced inside another one
    _compiling.append((end - duration_secs, end))


jax.monitoring.register_event_duration_secs_listener(_note_compiling)


def working_time() -> float:
    """Returns the seconds of a clock that pauses while programs are compiled."""
    return time.monotonic() - sum(end - start for start, end in _compiling)
