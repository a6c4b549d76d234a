"""Threads that do what takes long, so that the event loop never waits."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from tfmr.training.evaluation import between_batches

P = ParamSpec("P")
T = TypeVar("T")


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Worker:
    """Runs functions one after another on a thread of its own, in the order of the calls."""

    def __init__(self, name: str = "model"):
        """Takes the name of the thread."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a function returns. If the awaiting task is cancelled, the function ends after its next batch.

        A function that takes long should be split into calls of about a second, as nothing else runs in between.
        """
        left = threading.Event()
        try:
            return await self.run_while(lambda: not left.is_set(), function, *args, **kwargs)
        finally:
            left.set()

    async def run_while(
        self, wanted: Callable[[], bool], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Does the same, but ends the function between two batches when `wanted` returns False."""

        def check() -> None:
            if not wanted():
                raise Stopped

        def call() -> T:
            before = between_batches.set(check)
            try:
                return function(*args, **kwargs)
            finally:
                between_batches.reset(before)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """Ends the thread after the function that it is running."""
        self._thread.shutdown(cancel_futures=True)
