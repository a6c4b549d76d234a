"""The processes of a run: agreement before the start, a common end, and detection of lost processes.

Processes communicate through the key-value store of JAX's coordination service, which runs in process 0, and never
through the devices, because a device waits forever for one that does not answer. A single process needs none of this.
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
    """A single process: it writes everything and waits for nobody."""

    count = 1
    index = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the logs, the metrics and the small files."""
        return self.index == 0

    def at_step(self, step: int) -> None:
        """Records the step that this process has reached, for messages about it."""

    def must_stop(self) -> bool:
        """Returns whether to save now and end. The answer is the same in all processes.

        All processes must call it at the same points, such as every step. It only waits for other processes if one of
        them was asked to stop.
        """
        return False

    def agree(self, what: str, values: dict[str, Any]) -> None:
        """Checks that all processes have the same values by name; `what` is a name for this check, unique in the run.

        Raises:
          InputError: in all processes if one of them differs from the majority. The message names the process, its
            host and the values.
        """

    def first_then_others(self, work: Callable[[], Any]) -> Any:
        """Runs `work` in process 0 first, then in the other processes, and returns its result."""
        return work()

    def end(self) -> None:
        """Waits until all processes are done, and disconnects from them."""

    def fail(self, error: BaseException) -> None:
        """Reports the error to all processes of the run and ends them. Does nothing in a single process."""


class ManyHosts(Hosts):
    """Processes connected by `jax.distributed`. A thread in each of them watches the others."""

    def __init__(self, lost_after: int):
        """Starts to watch the other processes. The run ends if one sends no heartbeat for `lost_after` seconds."""
        self.count = jax.process_count()
        self.index = jax.process_index()
        self._client, self._coordinator = coordination_service()
        self._lost_after = lost_after
        self._step = 0
        self._answers = 0
        self._asked = 0
        self._done = threading.Event()
        self._dying = threading.Lock()
        name = _oneline(socket.gethostname())
        self._client.key_value_set(f"tfmr/names/{self.index}", name)
        self._client.wait_at_barrier("tfmr/named", 300_000)
        names = {int(key.rsplit("/", 1)[1]): name for key, name in self._client.key_value_dir_get("tfmr/names/")}
        self._names = [names[i] for i in range(self.count)]
        call_before_abort(self._explain_abort)
        end_at_the_second(signal.SIGTERM)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def at_step(self, step: int) -> None:
        self._step = step

    def must_stop(self) -> bool:
        self._asked += 1
        return multihost_utils.reached_preemption_sync_point(self._asked)

    def agree(self, what: str, values: dict[str, Any]) -> None:
        self._client.key_value_set(f"tfmr/agree/{what}/{self.index}", json.dumps(values, sort_keys=True, default=str))
        if self.is_first:
            given = [json.loads(self._get(f"tfmr/agree/{what}/{i}")) for i in range(self.count)]
            self._client.key_value_set(f"tfmr/agreed/{what}", self._difference(given))
        difference = self._get(f"tfmr/agreed/{what}")
        if difference:
            raise InputError(difference)

    def _difference(self, given: list[dict[str, Any]]) -> str:
        """Returns which processes differ from the majority, and how; '' if none does."""
        differences = []
        for name in sorted({name for values in given for name in values}):
            found = [json.dumps(values.get(name, "nothing")) for values in given]
            usual = collections.Counter(found).most_common(1)[0][0]  # in a tie, that of the first process
            differences += [
                f"{self._named(i)} has {name} = {value}, but {self._named(found.index(usual))} has {usual}"
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
        """Returns the value of a key, waiting for it as long as all processes are alive."""
        while True:
            try:
                return self._client.blocking_key_value_get(key, 2000)
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def end(self) -> None:
        # Keep watching until the end: the barrier would wait for a process that dies now.
        self._client.wait_at_barrier("tfmr/ended", 24 * 3600 * 1000)
        self._done.set()
        self._watcher.join()
        jax.distributed.shutdown()

    def fail(self, error: BaseException) -> None:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            # Most likely another process died during a collective operation. The watcher finds out which one and ends
            # this process.
            time.sleep(self._lost_after + 3)
        if isinstance(error, InputError):
            message = str(error)
            message = message if message.startswith(_DISAGREE) else f"{self._named(self.index)}: {message}"
        else:
            traceback.print_exception(error)
            message = f"{self._named(self.index)} failed: {_oneline(f'{type(error).__name__}: {error}')[:500]}"
        self._tell_the_others(message)
        # A regular exit of the interpreter would wait for the other processes again.
        self._die(message, 2 if isinstance(error, InputError) else 1)

    def _tell_the_others(self, message: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone; the others notice
            self._client.key_value_set(f"{_END}{self.index}", message, allow_overwrite=True)
            self._note_as_read()

    def _note_as_read(self, lost: int = 0) -> None:
        """Records that this process has read the message. Process 0 waits for all, as the store ends with it."""
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
                    # Only process 0 reads all heartbeats, so that the cost does not grow with the square of the number
                    # of hosts.
                    self._check(beats, warned)
            except jax.errors.JaxRuntimeError:
                if not self._done.is_set():
                    self._die(self._coordinator_lost())

    def _end_if_told(self) -> None:
        messages = self._client.key_value_dir_get(_END)
        told = [message for key, message in messages if key != f"{_END}{self.index}"]
        if told:
            self._note_as_read()
            self._die(told[0])

    def _check(self, beats: dict[int, tuple[str, float]], warned: set[tuple[int, int]]) -> None:
        now = time.monotonic()
        for key, beat in self._client.key_value_dir_get(_BEATS):
            i = int(key.rsplit("/", 1)[1])
            if beats[i][0] != beat:
                beats[i] = beat, now
        lost = [i for i, (_, since) in beats.items() if i != self.index and now - since > self._lost_after]
        if lost:
            message = " and ".join(
                f"{self._named(i)} is lost: no heartbeat for {now - beats[i][1]:.0f} s after "
                f"step {beats[i][0].split()[1]}"
                for i in lost
            )
            self._client.key_value_set(f"{_END}{self.index}", message, allow_overwrite=True)
            self._note_as_read(len(lost))
            self._die(message)
        self._warn_of_lags({i: int(beat.split()[1]) for i, (beat, _) in beats.items()}, warned)

    def _warn_of_lags(self, steps: dict[int, int], warned: set[tuple[int, int]]) -> None:
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
                log.warning(
                    "%s is slow: it has been at step %d for %.0f s while others wait at step %d",
                    *(self._named(i), step, waited, furthest),
                )

    def _coordinator_lost(self) -> str:
        return f"{self._named(0)}, which ran the coordination service, is lost"

    def _die(self, message: str, status: int = 1) -> None:
        """Ends this process from any thread, whatever the main thread waits for."""
        with self._dying:  # print one message only
            sys.stdout.flush()
            print(
                f"error: {message} ({self._named(self.index)} ends at step {self._step})", file=sys.stderr, flush=True
            )
            os._exit(status)

    def _explain_abort(self) -> None:
        """Reports why JAX's coordination service aborts this process, and ends it."""
        host, _, port = self._coordinator.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError:
            self._die(self._coordinator_lost())
        self._die("JAX's coordination service ended the run; see its message above")


def coordination_service() -> tuple[Any, str]:
    """Returns the client of JAX's coordination service, which has a key-value store, and the service's address.

    JAX has no public way to them. tests/training/test_hosts.py fails once `jax.distributed` offers one.
    """
    from jax._src import distributed

    return distributed.global_state.client, str(distributed.global_state.coordinator_address)


def call_before_abort(function: Callable[[], None]) -> None:
    """Calls a function when C++ code aborts the process.

    JAX's coordination service aborts a process as soon as process 0 is gone. The public API has no callback for that,
    and a handler set by `signal.signal` never runs: Python would call it after the C++ code returns, which `abort` does
    not. tests/training/test_hosts.py fails once it runs.
    """
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: function())
    _handlers.append(handler)  # the system has the only other reference
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


_handlers: list[Any] = []


def end_at_the_second(number: signal.Signals) -> None:
    """Leaves the first of these signals to its current handler; the second one ends the process.

    JAX's handler of SIGTERM is C++ code that notes the signal while training continues until all processes can save. It
    would ignore further signals. The operating system ends the process at the second one, because Python may be waiting
    for other processes. tests/training/test_hosts.py fails once JAX's handler does so itself.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "sysv_signal"):  # glibc only: installs a handler for a single signal
        return
    libc.signal.restype = ctypes.c_void_p
    libc.sysv_signal.argtypes = ctypes.c_int, ctypes.c_void_p
    libc.sysv_signal(number, libc.signal(number, None))


def _oneline(text: str) -> str:
    return " ".join(text.split())


def join(lost_after: int) -> Hosts:
    """Returns the processes that `jax.distributed` connected, or this process alone."""
    return ManyHosts(lost_after) if jax.process_count() > 1 else Hosts()
