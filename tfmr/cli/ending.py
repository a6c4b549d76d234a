"""SIGINT and SIGTERM in commands: they end soon and leave nothing half-written."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tfmr.data.files import remove_unfinished

GRACE = 3.0
"""Seconds after which a command ends that a signal has not ended, because a library is computing."""

STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
"""The exit status and the message."""


@contextlib.contextmanager
def ending_at_signals() -> Iterator[None]:
    """Ends the process inside its context at SIGTERM, or if SIGINT has not ended it, after removing unfinished files.

    Python runs its handlers of signals between two of its own instructions. If it does not come to that, since a
    library trains a tokenizer or compiles a program, a thread ends the process.

    Handlers that are set inside the context, as training does, are left alone; if the process has not ended after a
    while, a line tells that the signal has arrived. Signals that are ignored stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    woken_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    left = threading.Event()
    threading.Thread(target=_watch, args=(reader, left), daemon=True).start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(woken_before)
        if before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)
        os.close(writer)  # ends the thread


def _end(number: int, frame: Any) -> None:
    # Not by an exception: it could be raised inside a library that ignores it, or while one is imported.
    remove_unfinished()
    status, message = STATUS[signal.Signals(number)]
    os.write(2, f"error: {message}\n".encode())  # sys.stderr may be in use
    os._exit(status)


def _watch(reader: int, left: threading.Event) -> None:
    """Ends the process if a signal has arrived and the process does not end."""
    while arrived := os.read(reader, 1):
        number = arrived[0]
        if number not in STATUS or left.wait(GRACE):
            continue
        if signal.getsignal(number) in (_end, signal.default_int_handler):
            _end(number, None)
        elif signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
            name = signal.Signals(number).name
            print(f"{name} has arrived: stopping as soon as the running program ends", file=sys.stderr, flush=True)
    os.close(reader)
