"""SIGINT and SIGTERM during training."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from tfmr.training.evaluation import between_batches
from tfmr.training.hosts import Hosts


class Interrupted(BaseException):
    """A signal ended work that will be repeated. Not an Exception, so that no library treats it as a failure."""


class StopSignals:
    """Records SIGINT and SIGTERM inside its context; a second signal ends the program at once.

    If there are several processes, JAX's preemption service informs the others and chooses the step after which all of
    them save. It listens to SIGTERM itself, so SIGINT is forwarded as SIGTERM. The second signal is left to the system,
    which ends the process even if it is waiting for others.
    """

    received: int = 0
    _interrupts = False

    def __init__(self, hosts: Hosts):
        self._hosts = hosts

    def __enter__(self) -> "StopSignals":
        listened_to = (signal.SIGINT, signal.SIGTERM) if self._hosts.count == 1 else (signal.SIGINT,)
        self._before = {s: signal.signal(s, self._remember) for s in listened_to}
        return self

    def _remember(self, number: int, frame: Any) -> None:
        if self.received:
            signal.signal(number, self._before[signal.Signals(number)])
            raise KeyboardInterrupt
        self.received = number
        if self._hosts.count > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._interrupts:
            raise Interrupted

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raises Interrupted inside its context as soon as a signal arrives.

        All processes must leave collective computations at the same point, because they would wait forever for a
        missing process. They raise it after the same batch of the evaluation.
        """
        self._interrupts = self._hosts.count == 1
        check = between_batches.set(self._check)
        try:
            if self._interrupts and self.received:
                raise Interrupted
            yield
        finally:
            self._interrupts = False
            between_batches.reset(check)

    def _check(self) -> None:
        if self._hosts.must_stop():
            self.received = self.received or signal.SIGTERM
            raise Interrupted

    def stop_now(self) -> int:
        """Returns the signal that ends the training after this step, or 0. All processes must call it at every step."""
        if self._hosts.count == 1:
            return self.received
        return (self.received or signal.SIGTERM) if self._hosts.must_stop() else 0

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
