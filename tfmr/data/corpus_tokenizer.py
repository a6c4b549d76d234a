"""The tokenizer of a corpus that is being prepared."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data.progress import reported, timed
from tfmr.data.tokenizer import Tokenizer
from tfmr.data.unfinished_folder import UnfinishedFolder

log = logging.getLogger("tfmr")


def tokenizer_of(folder: UnfinishedFolder, make: Callable[[], Tokenizer]) -> Tokenizer:
    """Returns the tokenizer of an unfinished folder; if it has none, makes it and writes it there."""
    file = folder.path / "tokenizer.json"
    if folder.result("tokenizer") is not None:
        return Tokenizer.from_file(file)
    tokenizer = make()
    tokenizer.save(file)
    folder.save("tokenizer", {}, done=True)
    return tokenizer


def train_tokenizer(
    config: PairsConfig | RunningTextConfig, texts: Iterable[tuple[int, str]], unit: str, total: int, **options: Any
) -> Tokenizer:
    """Trains the tokenizer that a config describes, and reports the progress.

    Args:
      config: the kind, the size and the normal form.
      texts: how many units a text has, and the text.
      unit: what is counted, such as "lines".
      total: the approximate number of units of all texts.
      **options: of `Tokenizer.train`.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as computing:

        def reported_texts() -> Iterator[str]:
            yield from reported(texts, "Reading for the tokenizer", unit, total)
            computing.enter_context(timed("Computing the vocabulary"))  # a single call of a library

        options = {"normalization": config.normalization, **options}
        tokenizer = Tokenizer.train(config.tokenizer, reported_texts(), config.vocab_size, **options)
    seconds = time.monotonic() - start
    log.info("Trained the %s tokenizer: %d tokens, %.1f s", config.tokenizer, tokenizer.vocab_size, seconds)
    return tokenizer
