"""Lines of many requests are translated in batches."""

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import jax

from tfmr.config import ServingConfig
from tfmr.serving.errors import check_waiting
from tfmr.serving.metrics import Metrics
from tfmr.serving.worker import Worker
from tfmr.translation import Hypothesis, Translator
from tfmr.translation.padded_batches import rounded_up


def batch_sizes(most: int) -> list[int]:
    """Returns the numbers of rows for which programs are compiled: 1, 4, 16, 24, and `most`."""
    return [size for size in (1, 4, 16, 24) if size < most] + [most]


def next_size(waiting: int, most: int, choice: float) -> int:
    """Returns the number of lines of the next batch, which gets one of the numbers of rows in `batch_sizes`.

    A batch of more than 24 lines is made only if there are `choice` times as many lines to choose from. On CPUs, where
    large batches take more time in proportion, a batch of lines of about the same length is faster than a larger mixed
    one.
    """
    for size in reversed(batch_sizes(most)):
        lines = min(waiting, size)
        if min(rounded_up(lines), most) == size and (size <= _ALWAYS_FASTER or waiting >= choice * size):
            return lines
    return 1


_ALWAYS_FASTER = 24
"""A batch of up to this number of lines is faster on CPUs, too, than smaller ones."""


@dataclass(eq=False)
class _Line:
    """A line that waits for its translation.

    Attributes:
      kind: lines of the same kind can share a batch.
      length: the number of source tokens.
    """

    text: str
    prefix: str
    length: int
    translator: Translator
    number: int
    kind: Hashable
    arrived: float = field(default_factory=time.monotonic)
    translated: "asyncio.Future[list[Hypothesis]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    """Translates lines of many requests together. All its methods run in the event loop.

    A batch consists of the line that has waited longest and of those most similar to it in length, because a batch
    takes as long as its longest line. While the model translates one batch, the lines of the next ones gather.
    """

    def __init__(self, worker: Worker, settings: ServingConfig, metrics: Metrics):
        """Takes the thread that runs the models, the limits, and the counters."""
        self._worker, self._settings, self._metrics = worker, settings, metrics
        self._waiting: dict[_Line, None] = {}  # in the order of arrival
        self._arrived = asyncio.Event()
        self._choice = 3.0 if jax.default_backend() == "cpu" else 0.0
        metrics.count_waiting(lambda: len(self))

    def __len__(self) -> int:
        """Returns the number of lines that wait."""
        return len(self._waiting)

    async def n_best(
        self, translator: Translator, lines: Sequence[str], number: int = 1, prefixes: Sequence[str] | None = None
    ) -> list[list[Hypothesis]]:
        """Returns what `Translator.n_best` does. If the awaiting task is cancelled, lines that still wait are dropped.

        Raises:
          InputError: as `Translator.n_best`, and if a line is too long to be translated completely.
          RequestError: if too many lines wait already.
        """
        lengths = translator.source_lengths(lines, prefixes)
        filled = [index for index, length in enumerate(lengths) if length]
        check_waiting("lines", waiting=len(self), new=len(filled), most=self._settings.max_waiting)
        # Samples depend on the position of a line in its request, so requests are neither mixed nor divided.
        kind = translator, number, object() if translator.config.sampling.temperature > 0 else None
        entered = {
            index: _Line(lines[index], prefixes[index] if prefixes else "", lengths[index], translator, number, kind)
            for index in filled
        }
        self._enter(entered.values())
        try:
            await asyncio.gather(*(line.translated for line in entered.values()))
        finally:
            for line in entered.values():
                self._waiting.pop(line, None)
        return [entered[index].translated.result() if index in entered else [] for index in range(len(lines))]

    def _enter(self, lines: Iterable[_Line]) -> None:
        self._waiting |= dict.fromkeys(lines)
        self._arrived.set()

    async def run(self) -> None:
        """Translates batches until the task is cancelled."""
        while True:
            await self._arrived.wait()
            await self._let_others_arrive()
            if batch := self._take():
                await self._translate(batch)
            if not self._waiting:
                self._arrived.clear()

    async def _let_others_arrive(self) -> None:
        """Waits until a batch is full, or its first line has waited long enough."""
        oldest = next(iter(self._waiting), None)
        while oldest in self._waiting and len(self._waiting) < oldest.translator.config.batch_size:
            left = oldest.arrived + self._settings.max_wait - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.002))

    def _take(self) -> list[_Line]:
        """Takes the lines of the next batch out of those that wait."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return []
        same = [line for line in self._waiting if line.kind == oldest.kind]
        if oldest.translator.config.sampling.temperature == 0:
            same.sort(key=lambda line: abs(line.length - oldest.length))  # stable: the oldest comes first
            same = same[: next_size(len(same), oldest.translator.config.batch_size, self._choice)]
        for line in same:
            del self._waiting[line]
        return same

    async def _translate(self, batch: list[_Line]) -> None:
        started, first = time.perf_counter(), batch[0]
        texts, prefixes = [line.text for line in batch], [line.prefix for line in batch]
        try:
            wanted = lambda: not all(line.translated.done() for line in batch)  # noqa: E731
            found = await self._worker.run_while(wanted, first.translator.n_best, texts, first.number, prefixes)
        except Exception as error:
            for line in batch:
                if not line.translated.done():
                    line.translated.set_exception(error)
            return
        self._metrics.batches.observe(len(batch))
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        for line, hypotheses in zip(batch, found, strict=True):
            if not line.translated.done():  # its request has not been cancelled
                line.translated.set_result(hypotheses)
