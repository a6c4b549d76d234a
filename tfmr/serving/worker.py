"""The thread that runs the models."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs functions one after another on a thread of its own, in the order of the calls.

    Models run only there, so that no two of them compete for the device, and the event loop never waits.
    """

    def __init__(self):
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a function returns. If the awaiting task is cancelled before the function starts, it never does.

        A function that takes long should be split into calls of about a second, as nothing else runs in between.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Ends the thread after the function that it is running."""
        self._thread.shutdown(cancel_futures=True)
