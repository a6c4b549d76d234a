"""The processes of a run: they agree before they start, tell each other why they end, and notice one that is lost.

They talk over the key-value store of jax's coordination service, which lives in process 0, and never through the
devices: a device waits without end for one that does not answer. With one process all of this is nothing.
"""

import collections
import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import multihost_utils

from tfmr.errors import InputError

log = logging.getLogger("tfmr")

_BEATS = "tfmr/beats/"
_END = "tfmr/end/"
_READ = "tfmr/read/"
_DISAGREE = "hosts disagree"


class Hosts:
    """One process, alone: writes everything, agrees with itself, waits for nobody."""

    count = 1
    index = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes logs, metrics and small files."""
        return self.index == 0

    def at_step(self, step: int) -> None:
        """Notes how far this process is, for what is told of it."""

    def must_stop(self, step: int) -> bool:
        """Says whether all processes are to save after this step and end: the same answer in all of them.

        Called at every step. Nothing is waited for unless one of them was told to stop.
        """
        return False

    def agree(self, what: str, values: dict[str, Any]) -> None:
        """Ends the run in all processes where one has other values than most.

        Args:
          what: a name that no other agreement of this run has.
          values: what must be the same everywhere, plain values by name.

        Raises:
          InputError: naming the process, its host and the values.
        """

    def first_then_others(self, work: Callable[[], Any]) -> Any:
        """Returns what `work` returns, which process 0 does before the others begin."""
        return work()

    def end(self) -> None:
        """Waits until all processes are done, and leaves them."""

    def fail(self, error: BaseException) -> None:
        """Tells the others why this process ends, so that they end too, and ends it where there are others."""


class ManyHosts(Hosts):
    """The processes that `jax.distributed` brought together; each watches the others from a thread."""

    def __init__(self, lost_after: int):
        """Begins to watch; a process that gives no sign of life for `lost_after` seconds ends the run."""
        from jax._src import distributed  # the one way to the key-value store

        self.count = jax.process_count()
        self.index = jax.process_index()
        self._client: Any = distributed.global_state.client
        self._coordinator = str(distributed.global_state.coordinator_address)
        self._lost_after = lost_after
        self._step = 0
        self._answers = 0
        self._done = threading.Event()
        self._dying = threading.Lock()
        name = _oneline(socket.gethostname())
        self._client.key_value_set(f"tfmr/names/{self.index}", name)
        self._client.wait_at_barrier("tfmr/named", 300_000)
        names = {int(key.rsplit("/", 1)[1]): name for key, name in self._client.key_value_dir_get("tfmr/names/")}
        self._names = [names[i] for i in range(self.count)]
        self._call_before_abort()
        end_at_the_second(signal.SIGTERM)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def at_step(self, step: int) -> None:
        self._step = step

    def must_stop(self, step: int) -> bool:
        return multihost_utils.reached_preemption_sync_point(step)

    def agree(self, what: str, values: dict[str, Any]) -> None:
        self._client.key_value_set(f"tfmr/agree/{what}/{self.index}", json.dumps(values, sort_keys=True, default=str))
        if self.is_first:
            given = [json.loads(self._get(f"tfmr/agree/{what}/{i}")) for i in range(self.count)]
            self._client.key_value_set(f"tfmr/agreed/{what}", self._difference(given))
        difference = self._get(f"tfmr/agreed/{what}")
        if difference:
            raise InputError(difference)

    def _difference(self, given: list[dict[str, Any]]) -> str:
        """Returns which process has another value than most, and in what; '' where all are the same."""
        differences = []
        for name in sorted({name for values in given for name in values}):
            found = [json.dumps(values.get(name, "nothing")) for values in given]
            usual = collections.Counter(found).most_common(1)[0][0]  # of equally many that of the first process
            differences += [
                f"{self._named(i)} has {name} = {value}, {self._named(found.index(usual))} has {usual}"
                for i, value in enumerate(found)
                if value != usual
            ]
        more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
        return f"{_DISAGREE}: " + "; ".join(differences[:3]) + more if differences else ""

    def first_then_others(self, work: Callable[[], Any]) -> Any:
        self._answers += 1
        key = f"tfmr/first/{self._answers}"
        if not self.is_first:
            self._get(key)
            return work()
        result = work()
        self._client.key_value_set(key, "done")
        return result

    def _get(self, key: str) -> str:
        """Waits for a key as long as all processes live."""
        while True:
            try:
                return self._client.blocking_key_value_get(key, 2000)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def end(self) -> None:
        # Watched to the last: one that dies now would be waited for.
        self._client.wait_at_barrier("tfmr/ended", 24 * 3600 * 1000)
        self._done.set()
        self._watcher.join()
        jax.distributed.shutdown()

    def fail(self, error: BaseException) -> None:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            # Most likely another process broke off in the middle of a sum: the watcher will find out which, and end
            # this one.
            time.sleep(self._lost_after + 3)
        if isinstance(error, InputError):
            message = str(error)
            message = message if message.startswith(_DISAGREE) else f"{self._named(self.index)}: {message}"
        else:
            traceback.print_exception(error)
            message = f"{self._named(self.index)} failed: {_oneline(f'{type(error).__name__}: {error}')[:500]}"
        self._tell_the_others(message)
        # Leaving through the interpreter would wait for the others once more.
        self._die(message, 2 if isinstance(error, InputError) else 1)

    def _tell_the_others(self, message: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone, which the others see themselves
            self._client.key_value_set(f"{_END}{self.index}", message, allow_overwrite=True)
            self._note_as_read()

    def _note_as_read(self, lost: int = 0) -> None:
        """Says that this process knows of the end; process 0 takes the store with it and so goes last."""
        self._client.key_value_set(f"{_READ}{self.index}", "read", allow_overwrite=True)
        deadline = time.monotonic() + 10
        while self.is_first and time.monotonic() < deadline:
            if len(self._client.key_value_dir_get(_READ)) >= self.count - lost:
                return
            time.sleep(0.1)

    def _named(self, index: int) -> str:
        return f"process {index} on host {self._names[index]}"

    def _watch(self) -> None:
        beats: dict[int, tuple[str, float]] = {i: ("0 0", time.monotonic()) for i in range(self.count)}
        warned: set[tuple[int, int]] = set()
        number = 0
        while not self._done.wait(min(2.0, self._lost_after / 5)):
            number += 1
            try:
                self._client.key_value_set(f"{_BEATS}{self.index}", f"{number} {self._step}", allow_overwrite=True)
                self._end_if_told()
                if self.is_first:
                    # Process 0 alone reads them all and tells the others, so that a pod of a thousand hosts is watched
                    # as easily as two.
                    self._look_at(beats, warned)
            except jax.errors.JaxRuntimeError:
                if not self._done.is_set():
                    self._die(self._coordinator_lost())

    def _end_if_told(self) -> None:
        messages = self._client.key_value_dir_get(_END)
        told = [message for key, message in messages if key != f"{_END}{self.index}"]
        if told:
            self._note_as_read()
            self._die(told[0])

    def _look_at(self, beats: dict[int, tuple[str, float]], warned: set[tuple[int, int]]) -> None:
        now = time.monotonic()
        for key, beat in self._client.key_value_dir_get(_BEATS):
            i = int(key.rsplit("/", 1)[1])
            if beats[i][0] != beat:
                beats[i] = beat, now
        lost = [i for i, (_, since) in beats.items() if i != self.index and now - since > self._lost_after]
        if lost:
            message = " and ".join(
                f"{self._named(i)} is lost: no sign of life for {now - beats[i][1]:.0f} s, "
                f"its last step was {beats[i][0].split()[1]}"
                for i in lost
            )
            self._client.key_value_set(f"{_END}{self.index}", message, allow_overwrite=True)
            self._note_as_read(len(lost))
            self._die(message)
        self._name_who_lags({i: int(beat.split()[1]) for i, (beat, _) in beats.items()}, warned)

    def _name_who_lags(self, steps: dict[int, int], warned: set[tuple[int, int]]) -> None:
        now = time.monotonic()
        if steps != getattr(self, "_last_steps", None):
            self._last_steps, self._since = steps, now
        furthest = max(steps.values())
        if now - self._since < self._lost_after / 2:
            return
        for i, step in steps.items():
            if step < furthest and (i, step) not in warned:
                warned.add((i, step))
                waited = now - self._since
                log.warning("%s lags: at step %d for %.0f s, others wait at %d", self._named(i), step, waited, furthest)

    def _coordinator_lost(self) -> str:
        return f"{self._named(0)} is lost, which held the processes together"

    def _die(self, message: str, status: int = 1) -> None:
        """Ends this process from any thread, whatever the main one waits for."""
        with self._dying:  # one message is enough
            sys.stdout.flush()
            print(
                f"error: {message} ({self._named(self.index)} ends at step {self._step})", file=sys.stderr, flush=True
            )
            os._exit(status)

    def _call_before_abort(self) -> None:
        """Has a last line printed where jax's service aborts the process: it does so the moment that process 0 is gone.

        That is C++, whose callback cannot be given from Python, so the signal of the abort is caught.
        """

        def name_the_cause(number: int) -> None:
            host, _, port = self._coordinator.rpartition(":")
            try:
                socket.create_connection((host, int(port)), timeout=2).close()
                self._die("jax's coordination service ended the run; its message is above")
            except OSError:
                self._die(self._coordinator_lost())

        self._before_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(name_the_cause)
        ctypes.CDLL(None).signal(signal.SIGABRT, self._before_abort)


def end_at_the_second(number: signal.Signals) -> None:
    """Leaves the first of these signals to whoever handles it now; a second one ends the process.

    jax's handler of SIGTERM is C++: it notes the first, and the steps go on until all processes save. It would note
    those that follow as well. The system is asked to end the process then, because Python might be waiting for others.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "sysv_signal"):  # glibc's: a handler for one time
        return
    libc.signal.restype = ctypes.c_void_p
    libc.sysv_signal.argtypes = ctypes.c_int, ctypes.c_void_p
    libc.sysv_signal(number, libc.signal(number, None))


def _oneline(text: str) -> str:
    return " ".join(text.split())


def join(lost_after: int) -> Hosts:
    """Returns this process's view of the processes that `jax.distributed` brought together, or of itself alone."""
    return ManyHosts(lost_after) if jax.process_count() > 1 else Hosts()
