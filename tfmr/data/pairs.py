"""Sentence pairs as token arrays, and their batches."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmr.config import PairsConfig
from tfmr.data.batching import Arrays, Batch, BatchPlan, lay_out, make_plan, usable_pairs, with_rows
from tfmr.data.blank import is_blank
from tfmr.data.mixing import Mixture, is_mixed
from tfmr.data.packing import make_packed_plan
from tfmr.data.token_arrays import TokenArrays
from tfmr.data.tokenizer import BOS_ID, PAD_ID, Tokenizer

log = logging.getLogger("tfmr")


@dataclass(frozen=True)
class PairSplit:
    """The token arrays of both languages. Sentence i of the target is the translation of sentence i of the source."""

    source: TokenArrays
    target: TokenArrays
    entries: tuple[int, ...] = ()
    """Number of pairs of each entry of the corpus, in order, if they are mixed by weight."""

    def __len__(self) -> int:
        return len(self.source)

    def plan(self, config: PairsConfig) -> BatchPlan:
        """Returns the batch plan of a training split; raises InputError if no pair is short enough."""
        lengths = self.source.lengths, self.target.lengths
        arguments: dict[str, Any] = dict(
            tokens_per_batch=config.tokens_per_batch, max_length=config.max_length, seed=config.seed
        )
        if is_mixed(config.weights):
            before = np.cumsum(np.concatenate([[0], usable_pairs(*lengths, config.max_length)]))  # usable pairs
            boundaries = before[np.cumsum([0, *self.entries])]
            arguments["mixture"] = Mixture(boundaries, config.weights, config.seed)
        if config.batching == "packed":
            return make_packed_plan(*lengths, **arguments)
        return make_plan(*lengths, num_buckets=config.num_buckets, **arguments)

    def arrays(
        self, batch: Batch, *, rows_multiple: int = 1, rows_of: Callable[[int], Sequence[int]] = range
    ) -> Arrays:
        """Returns a batch, or some of its rows, as int32 arrays.

        A row contains its sentences one after another. Segments are 1, 2, ... for the sentences and 0 for padding;
        positions count from 0 in each sentence. `target_input` is `target_output` shifted right by one token after
        BOS, sentence by sentence.

        Args:
          batch: which sentences, in which rows, in which shape.
          rows_multiple: the number of rows is rounded up to a multiple of this; the added rows are all padding.
          rows_of: maps the number of rows of the batch to the indices of the rows to return, ascending.
        """
        bucket = with_rows(batch.bucket, rows_multiple)
        wanted = np.asarray(rows_of(bucket.rows), np.int64)
        row_of = np.arange(len(batch.indices)) if batch.rows is None else batch.rows
        inside = np.isin(row_of, wanted)
        indices, row_of = batch.indices[inside], np.searchsorted(wanted, row_of[inside])
        read, written = (
            lay_out(side.offsets[indices], side.lengths[indices], row_of) for side in (self.source, self.target)
        )
        source, target = (len(wanted), bucket.source_length), (len(wanted), bucket.target_length)
        before = np.where(written.position == 0, BOS_ID, self.target.tokens[written.source - 1])
        return dict(
            source=read.fill(source, self.source.tokens[read.source], PAD_ID),
            source_segments=read.fill(source, read.segment),
            source_positions=read.fill(source, read.position),
            target_input=written.fill(target, before, PAD_ID),
            target_output=written.fill(target, self.target.tokens[written.source], PAD_ID),
            target_segments=written.fill(target, written.segment),
            target_positions=written.fill(target, written.position),
        )


def encode_pairs(tokenizer: Tokenizer, sources: list[str], targets: list[str]) -> PairSplit:
    """Tokenizes lines of text into token arrays in memory. A line without visible characters becomes EOS only."""

    def arrays_of(sentences: list[list[int]]) -> TokenArrays:
        tokens = np.array([token for sentence in sentences for token in sentence], np.int32)
        return TokenArrays(tokens, np.cumsum([0, *map(len, sentences)], dtype=np.int64))

    sources, targets = (["" if is_blank(line) else line for line in lines] for lines in (sources, targets))
    return PairSplit(
        arrays_of([tokenizer.source_sequence(ids) for ids in tokenizer.encode_batch(sources)]),
        arrays_of([tokenizer.target_sequence(ids) for ids in tokenizer.encode_targets(targets)]),
    )


def evaluation_batches(
    split: PairSplit, *, max_length: int | None = None, tokens_per_batch: int = 4096, rows_multiple: int = 1
) -> list[Arrays]:
    """Returns the pairs of a split as batches of at most four shapes.

    Pairs that are longer than `max_length` or that training would leave out as empty are left out. A warning names
    them by their numbers, from 1.

    Raises:
      InputError: if no pair is left.
    """
    lengths = split.source.lengths, split.target.lengths
    longest = int(max(side.max() for side in lengths))
    longest = longest if max_length is None else min(longest, max_length)
    left_out = np.flatnonzero(~usable_pairs(*lengths, longest)) + 1
    if len(left_out):
        more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        log.warning(
            "%d of %d pairs are left out of the loss, because a side is empty or has more than data.max_length = %d "
            "tokens: %s%s",
            *(len(left_out), len(split), max_length or longest, ", ".join(map(str, left_out[:10])), more),
        )
    plan = make_plan(
        *lengths, tokens_per_batch=max(tokens_per_batch, longest), num_buckets=4, max_length=longest, seed=0
    )
    return [split.arrays(batch, rows_multiple=rows_multiple) for batch in plan.epoch(0)]
