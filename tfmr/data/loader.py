"""From the plan to arrays: a host's rows of each batch, made ahead in a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from tfmr.config import CorpusConfig, RunningTextConfig
from tfmr.data.batching import Batch, BatchPlan, make_plan, with_rows
from tfmr.data.layout import Arrays, lay_out
from tfmr.data.packing import make_packed_plan
from tfmr.data.prepare import PreparedSplit, Split
from tfmr.data.text_batches import TextBatch, make_text_arrays, plan_for_text
from tfmr.data.token_arrays import TokenArrays
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer

T = TypeVar("T")


class Place(NamedTuple):
    """The place in the data: the batch that comes next."""

    epoch: int = 0
    batch: int = 0


def make_arrays(
    split: Split, batch: Batch | TextBatch, *, rows_multiple: int = 1, rows_of: Callable[[int], Sequence[int]] = range
) -> Arrays:
    """Returns a batch, or the rows of it that a host wants, as int32 arrays.

    A row holds its sentences one after another: segments 1, 2, ... where they stand and 0 where there is padding, and
    positions that count from 0 in each of them. `target_input` is `target_output` moved one place to the right behind
    the begin mark, sentence by sentence.

    Args:
      split: the token arrays.
      batch: which sentences, in which rows, at which shape.
      rows_multiple: the rows are rounded up to a multiple of this; rows without a sentence are all padding.
      rows_of: gives the numbers of the rows that are wanted, ascending, of a batch of so many.

    Of running text there are the arrays of the target alone.
    """
    if isinstance(batch, TextBatch):
        assert isinstance(split, TokenArrays)
        return make_text_arrays(split, batch, rows_multiple=rows_multiple, rows_of=rows_of)
    assert isinstance(split, PreparedSplit)
    bucket = with_rows(batch.bucket, rows_multiple)
    wanted = np.asarray(rows_of(bucket.rows), np.int64)
    rows = len(wanted)
    row_of = np.arange(len(batch.indices)) if batch.rows is None else batch.rows
    inside = np.isin(row_of, wanted)
    indices, row_of = batch.indices[inside], np.searchsorted(wanted, row_of[inside])
    source = _lay_out(split.source, indices, row_of, (rows, bucket.source_length))
    target = _lay_out(split.target, indices, row_of, (rows, bucket.target_length))
    before = np.pad(target.tokens[:, :-1], ((0, 0), (1, 0)))
    target_input = np.where(target.positions == 0, np.int32(BOS_ID), before)
    return dict(
        source=source.tokens,
        source_segments=source.segments,
        source_positions=source.positions,
        target_input=np.where(target.segments == 0, np.int32(PAD_ID), target_input),
        target_output=target.tokens,
        target_segments=target.segments,
        target_positions=target.positions,
    )


class _Side(NamedTuple):
    tokens: Int[np.ndarray, "rows length"]
    segments: Int[np.ndarray, "rows length"]
    positions: Int[np.ndarray, "rows length"]


def _lay_out(
    sentences: TokenArrays,
    indices: Int[np.ndarray, " sentences"],
    row_of: Int[np.ndarray, " sentences"],
    shape: tuple[int, int],
) -> _Side:
    """Lays sentences one after another into their rows."""
    layout = lay_out(sentences.offsets[indices], sentences.lengths[indices], row_of)
    return _Side(
        tokens=layout.fill(shape, sentences.tokens[layout.source], PAD_ID),
        segments=layout.fill(shape, layout.segment),
        positions=layout.fill(shape, layout.position),
    )


def plan_for(split: Split, config: CorpusConfig) -> BatchPlan:
    """Returns the batch plan of a training split; raises InputError where no pair is short enough."""
    if isinstance(config, RunningTextConfig):
        assert isinstance(split, TokenArrays)
        return plan_for_text(split, config)
    assert isinstance(split, PreparedSplit)
    lengths = split.source.lengths, split.target.lengths
    arguments = dict(tokens_per_batch=config.tokens_per_batch, max_length=config.max_length, seed=config.seed)
    if config.batching == "packed":
        return make_packed_plan(*lengths, **arguments)
    return make_plan(*lengths, num_buckets=config.num_buckets, **arguments)


def batches_from(plan: BatchPlan, place: Place) -> Iterator[tuple[Batch, Place]]:
    """Yields the batches from a place on, epoch after epoch without end, each with the place that follows it."""
    epoch, first = place
    while True:
        batches = plan.epoch(epoch)
        for number in range(first, len(batches)):
            last = number + 1 == len(batches)
            yield batches[number], Place(epoch + 1, 0) if last else Place(epoch, number + 1)
        epoch, first = epoch + 1, 0


def prefetch(items: Iterator[T], size: int = 4) -> Generator[T, None, None]:
    """Yields the same items, made up to `size` ahead in a thread. An exception there is raised here."""
    buffer: queue.Queue = queue.Queue(maxsize=size)
    stop = threading.Event()
    end = object()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                buffer.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((end, None))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = buffer.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def encode_pairs(tokenizer: Tokenizer, sources: list[str], targets: list[str]) -> PreparedSplit:
    """Returns lines of text as token arrays in memory."""

    def lay_out(encoded: list[list[int]]) -> TokenArrays:
        sentences = [[*tokens, EOS_ID] for tokens in encoded]
        tokens = np.array([token for sentence in sentences for token in sentence], np.int32)
        return TokenArrays(tokens, np.cumsum([0, *map(len, sentences)], dtype=np.int64))

    return PreparedSplit(lay_out(tokenizer.encode_batch(sources)), lay_out(tokenizer.encode_targets(targets)))


def evaluation_batches(split: PreparedSplit, *, tokens_per_batch: int = 4096, rows_multiple: int = 1) -> list[Arrays]:
    """Returns all pairs of a split as batches of few shapes, whatever their lengths."""
    longest = int(max(split.source.lengths.max(), split.target.lengths.max()))
    plan = make_plan(
        split.source.lengths,
        split.target.lengths,
        tokens_per_batch=max(tokens_per_batch, longest),
        num_buckets=4,
        max_length=longest,
        seed=0,
    )
    return [make_arrays(split, batch, rows_multiple=rows_multiple) for batch in plan.epoch(0)]
