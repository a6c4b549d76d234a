"""Programs for texts of the usual sizes are compiled at the start, so that the first requests are not slow."""

import asyncio
import functools
from collections.abc import Callable, Iterator

from tfmr.serving.batcher import batch_sizes
from tfmr.serving.explore import compile_exploring
from tfmr.serving.service import Service

_WIDTHS = (16, 24, 32, 48, 64)
"""Numbers of source tokens."""
_TEXTS = ((1, 16, 16), (1, 16, 64), (1, 64, 64), (4, 16, 64))
"""Numbers of rows, of tokens of prompts, and of new tokens."""


async def compile_programs(service: Service) -> None:
    """Compiles them one by one on the thread of the models, as long as no request is in progress.

    A request that arrives waits for one of them at most.
    """
    for compile_one in _usual(service):
        while service.metrics.in_progress:
            await asyncio.sleep(0.05)
        await service.worker.run(compile_one)
    service.compiling = False


def _usual(service: Service) -> Iterator[Callable[[], None]]:
    """Yields a function for each program; those that a person needs who tries the server come first."""
    for served in service.translators:  # first, because someone may look at the page already
        if served.model.searches_in_jax:
            yield functools.partial(compile_exploring, served.model)
    for served in service.generators:
        yield from (functools.partial(served.model.compile_together, *size) for size in _TEXTS)
    translators = [served.model for served in service.translators]
    for rows in sorted({rows for each in translators for rows in batch_sizes(each.config.batch_size)}):
        for translator in translators:
            if rows not in batch_sizes(translator.config.batch_size):
                continue
            # Alternatives are compiled for a single line, as a person at the page translates it.
            for number in (1, translator.config.beam_size) if rows == 1 else (1,):
                yield from (functools.partial(translator.compile, rows, width, number) for width in _WIDTHS)
