"""Lines of many requests are translated in batches."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tfmr.serving.errors import busy
from tfmr.serving.settings import ServerSettings
from tfmr.serving.worker import Worker
from tfmr.translation import Hypothesis, Translator


@dataclass(eq=False)
class _Line:
    """A line that waits for its translation."""

    text: str
    prefix: str
    translator: Translator
    number: int
    length: int
    kind: Any
    """Only lines of the same kind can share a batch."""
    translated: "asyncio.Future[list[Hypothesis]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    """Translates lines of many requests together. All its methods run in the event loop."""

    def __init__(self, worker: Worker, settings: ServerSettings):
        """Takes the thread that runs the models, and the limits."""
        self._worker, self._settings = worker, settings
        self._waiting: list[_Line] = []
        self._arrived = asyncio.Event()

    async def n_best(
        self, translator: Translator, lines: Sequence[str], number: int = 1, prefixes: Sequence[str] | None = None
    ) -> list[list[Hypothesis]]:
        """Returns what `Translator.n_best` does. If the awaiting task is cancelled, lines that wait are dropped.

        Raises:
          InputError: as `Translator.n_best`.
          RequestError: if too many lines wait already.
        """
        if len(self._waiting) + len(lines) > self._settings.max_waiting:
            raise busy(f"{len(self._waiting)} lines are waiting for the model")
        kind = (id(translator.members), translator.tokenizer.tags.source, translator.tokenizer.tags.target, number)
        entered = [
            _Line(text, prefix, translator, number, len(text), kind)
            for text, prefix in zip(lines, prefixes or [""] * len(lines), strict=True)
        ]
        self._waiting += entered
        self._arrived.set()
        try:
            return await asyncio.gather(*(line.translated for line in entered))
        finally:
            self._waiting = [line for line in self._waiting if line not in entered]

    async def run(self) -> None:
        """Translates batches until the task is cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._settings.max_wait)
            if batch := self._take():
                await self._translate(batch)
            if not self._waiting:
                self._arrived.clear()

    def _take(self) -> list[_Line]:
        if not self._waiting:
            return []
        oldest = self._waiting[0]
        same = [line for line in self._waiting if line.kind == oldest.kind]
        same.sort(key=lambda line: abs(line.length - oldest.length))
        batch = same[: oldest.translator.config.batch_size]
        self._waiting = [line for line in self._waiting if line not in batch]
        return batch

    async def _translate(self, batch: list[_Line]) -> None:
        texts, prefixes = [line.text for line in batch], [line.prefix for line in batch]
        with contextlib.suppress(asyncio.InvalidStateError):
            try:
                found = await self._worker.run(batch[0].translator.n_best, texts, batch[0].number, prefixes)
            except Exception as error:
                for line in batch:
                    line.translated.set_exception(error)
                return
            for line, hypotheses in zip(batch, found, strict=True):
                if not line.translated.done():
                    line.translated.set_result(hypotheses)
