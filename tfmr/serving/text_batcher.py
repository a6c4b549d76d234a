"""Texts of many requests are generated in batches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from tfmr.config import ServingConfig
from tfmr.language_model import Generator, Piece, TextRequest
from tfmr.serving.errors import check_waiting
from tfmr.serving.metrics import Metrics
from tfmr.serving.worker import Worker

_ROWS = 16
"""The maximum number of texts in a batch, as each has a cache as long as the context."""
_BATCHES = 2
"""The maximum number of batches that are written in turns: while one is written, the next can begin."""


@dataclass(eq=False)
class _Text:
    """A text that waits to be written, or is being written.

    Attributes:
      number: its index in its request.
      wanted: whether its request still waits for it.
      written: where its pieces go, with its number; or the error that ended its batch.
    """

    generator: Generator
    request: TextRequest
    number: int
    written: "asyncio.Queue[tuple[int, Piece] | Exception]"
    wanted: bool = True


class TextBatcher:
    """Generates texts of many requests together. All its methods run in the event loop.

    Several batches take turns, token by token, so that a long text does not delay others.
    """

    def __init__(self, worker: Worker, settings: ServingConfig, metrics: Metrics):
        """Takes the thread that runs the models, the limits, and the counters."""
        self._worker, self._settings, self._metrics = worker, settings, metrics
        self._waiting: list[_Text] = []
        self._arrived = asyncio.Event()
        self._free = asyncio.Semaphore(_BATCHES)
        self._batches: set[asyncio.Task[None]] = set()

    async def stream(self, generator: Generator, requests: Sequence[TextRequest]) -> AsyncIterator[tuple[int, Piece]]:
        """Yields the pieces of several texts, each with the index of its text, as they are written.

        If the iterator is closed, or the task that awaits it is cancelled, the texts are not written any further.

        Raises:
          InputError: as `Generator.stream_together`.
          RequestError: if too many texts wait already.
        """
        waiting, most = len(self._waiting), self._settings.max_waiting
        check_waiting("prompts", waiting=waiting, new=len(requests), most=most)
        written: asyncio.Queue[tuple[int, Piece] | Exception] = asyncio.Queue()
        texts = [_Text(generator, request, number, written) for number, request in enumerate(requests)]
        self._waiting += texts
        self._arrived.set()
        try:
            unfinished = len(texts)
            while unfinished:
                item = await written.get()
                if isinstance(item, Exception):
                    raise item
                unfinished -= item[1].continuation is not None
                yield item
        finally:
            for text in texts:
                text.wanted = False
            self._waiting = [text for text in self._waiting if text.wanted]

    async def run(self) -> None:
        """Writes batches until the task is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                await self._free.acquire()
                await asyncio.sleep(self._settings.max_wait)
                batch = asyncio.create_task(self._write(self._take()))
                self._batches.add(batch)
                batch.add_done_callback(self._ended)
        finally:
            for batch in self._batches:
                batch.cancel()

    def _ended(self, batch: "asyncio.Task[None]") -> None:
        self._batches.discard(batch)
        self._free.release()

    def _take(self) -> list[_Text]:
        batch = [text for text in self._waiting if text.generator is self._waiting[0].generator][:_ROWS]
        self._waiting = [text for text in self._waiting if text not in batch]
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _write(self, batch: list[_Text]) -> None:
        if not batch:
            return
        try:
            requests = [text.request for text in batch]
            steps = batch[0].generator.stream_together(requests, lambda index: batch[index].wanted)
            while pieces := await self._worker.run(next, steps, []):
                for piece in pieces:
                    text = batch[piece.prompt]
                    text.written.put_nowait((text.number, piece))
                self._metrics.generated.inc(len(pieces))
        except Exception as error:
            for text in batch:
                text.written.put_nowait(error)
