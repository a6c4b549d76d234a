"""Ends commands promptly on SIGINT and SIGTERM, without leaving anything half-written."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tfmr.data.files import remove_unfinished

GRACE = 3.0
"""Seconds after a signal before the process is ended, in case a library keeps Python from handling the signal."""

STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
"""The exit status and the message."""


@contextlib.contextmanager
def ending_at_signals() -> Iterator[None]:
    """Ends the process on SIGTERM, or if SIGINT has not ended it, after removing unfinished files.

    Python runs signal handlers only between its own instructions. If none is executed for a while, because a library is
    training a tokenizer or compiling a program, a thread ends the process.

    Handlers that are set inside the context, as training does, are left in place; if the process has not ended after a
    while, a message acknowledges the signal. Ignored signals stay ignored.
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
    # Not an exception: a library could ignore it, or it could be raised during an import.
    remove_unfinished()
    status, message = STATUS[signal.Signals(number)]
    os.write(2, f"error: {message}\n".encode())  # sys.stderr may be in use
    os._exit(status)


def _watch(reader: int, left: threading.Event) -> None:
    """Ends the process if it has not ended by itself after a signal."""
    while arrived := os.read(reader, 1):
        number = arrived[0]
        if number not in STATUS or left.wait(GRACE):
            continue
        if signal.getsignal(number) in (_end, signal.default_int_handler):
            _end(number, None)
        elif signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
            name = signal.Signals(number).name
            print(f"{name} received: stopping as soon as the current computation ends", file=sys.stderr, flush=True)
    os.close(reader)
