"""Turns a corpus of pairs into token arrays on disk, once. Training reads those arrays."""

import contextlib
import itertools
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.config import PairsConfig
from tfmr.data.blank import has_blank_side
from tfmr.data.chunks import in_chunks
from tfmr.data.corpora import Corpus, load_corpus
from tfmr.data.corpora.corpus import SPLITS, LinePair, fingerprint, is_in_sample
from tfmr.data.corpora.lines import read_lines
from tfmr.data.corpus_tokenizer import tokenizer_of, train_tokenizer
from tfmr.data.loader import prefetch
from tfmr.data.mixing import described_mixture, is_mixed
from tfmr.data.pair_report import report_on_pairs
from tfmr.data.pairs import PairSplit
from tfmr.data.prepared_folder import PreparedFolder, open_or_make, write_manifest
from tfmr.data.progress import reported
from tfmr.data.report import Report
from tfmr.data.token_arrays import TokenArrays, TokenWriter
from tfmr.data.tokenizer import OURS, SPECIAL_TOKENS, UNK_ID, Tokenizer
from tfmr.data.unfinished_folder import UnfinishedFolder
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

FORMAT = 2
"""Changes whenever the same input gives different arrays, so that older prepared corpora are not used."""
MAX_TOKENIZER_PAIRS = 1_000_000
"""The approximate maximum number of training pairs, chosen by their content, that a tokenizer is trained on."""

_SIDES = ("source", "target")
_TEXT_SPLITS = ("validation", "test")
_MOST_CHARACTERS = 8  # per token, on average over a long line


@dataclass(frozen=True)
class PreparedPairs(PreparedFolder):
    """A prepared corpus of translation pairs."""

    def split(self, split: str) -> PairSplit:
        """Returns the token arrays of "train", "validation" or "test"."""
        source, target = (TokenArrays.open(self.directory, f"{split}.{side}") for side in _SIDES)
        return PairSplit(source, target, self.entries if split == "train" else ())

    def text(self, split: str) -> tuple[list[str], list[str]]:
        """Returns the untokenized source and target lines of "validation" or "test"."""
        source, target = (list(read_lines(self.directory / f"{split}.{side}.txt")) for side in _SIDES)
        return source, target

    def describe(self, config: PairsConfig) -> str:
        """Returns a summary for people: the folder, the vocabulary, the splits and the batches of an epoch."""
        plan = self.split("train").plan(config)
        lines = [str(self.directory), f"vocabulary  {self.tokenizer.vocab_size:,} ({self.tokenizer.kind})"]
        for name in SPLITS:
            split = self.split(name)
            tokens = f"{split.source.lengths.sum():,} source and {split.target.lengths.sum():,} target tokens"
            lines.append(f"{name:11} {len(split):,} pairs, {tokens}")
        shapes = ", ".join(f"{bucket.rows} x {bucket.target_length}" for bucket in plan.buckets)
        batches = f"{len(plan.epoch(0)):,} batches of {shapes}: {plan.padding_share():.1%} padding"
        left_out = f"{plan.left_out:,} pairs, longer than data.max_length = {config.max_length} or empty"
        lines += [f"an epoch    {batches}", *described_mixture(plan.mixture, config.source_names)]
        return "\n".join([*lines, f"left out    {left_out}"])

    def report(self, config: PairsConfig) -> Report:
        """Returns a report on what may be wrong with the training pairs, after reading them again."""
        held_out = {split: self.text(split) for split in _TEXT_SPLITS}
        return report_on_pairs(load_corpus(config), config, self.split("train"), held_out)


def prepare_pairs(config: PairsConfig) -> PreparedPairs:
    """Returns the prepared corpus that a configuration describes; prepares it first if it is not in the cache.

    All pairs are encoded, and those that are too long are left out when batches are planned. `data.max_length` affects
    only the tokenizer, which is not trained on pairs that are certain to be left out.

    Raises:
      InputError: for anything wrong with the corpus, its files, or the given tokenizer.
    """
    if config.weights and config.corpus != "text":
        raise InputError(f"data.weights = {config.weights}: requires data.corpus = 'text', not {config.corpus!r}")
    corpus = load_corpus(config)
    given = Tokenizer.from_file(config.tokenizer_file) if config.tokenizer_file else None
    if given and given.marks != OURS:
        raise InputError(
            f"data.tokenizer_file = {config.tokenizer_file!r}: lacks the special tokens {' '.join(SPECIAL_TOKENS)}, "
            "which translation needs; it can be used for running text only"
        )
    if given and given.tags.languages:
        given = _with_languages(given, config)
    if given and config.right_to_left:
        given = given.from_right_to_left()
    recipe = _recipe(config, corpus, given)
    name = re.sub(r"[^\w-]+", "_", corpus.name)
    directory = config.cache_folder / "prepared" / f"{name}-{fingerprint(recipe)[:16]}"
    prepared = open_or_make(PreparedPairs, directory, lambda folder: _write(folder, corpus, given, config, recipe))
    if not is_mixed(config.weights):
        return prepared
    return prepared.with_entries(
        config.source_names, len(prepared.split("train")), lambda: corpus.sizes_of_files(has_blank_side)
    )


def _with_languages(given: Tokenizer, config: PairsConfig) -> Tokenizer:
    """Returns the tokenizer of a model of many languages for those of the corpus, or else for its own default.

    Raises:
      InputError: if it has no default and the corpus names none of its languages.
    """
    known = given.tags.languages
    codes = (config.source_language, config.target_language)
    given = given.with_languages(*(code if code in known else "" for code in codes))
    given.tags.check()
    languages = given.tags.source or "no language", given.tags.target or "no language"
    log.info("Sentences get the tags of %s and %s", *languages)
    return given


def _recipe(config: PairsConfig, corpus: Corpus, given: Tokenizer | None) -> dict[str, Any]:
    trained = {"kind": config.tokenizer, "vocab_size": config.vocab_size, "max_length": config.max_length}
    trained |= {"pairs": MAX_TOKENIZER_PAIRS, "normalization": config.normalization}
    return {
        "format": FORMAT,
        "corpus": corpus.name,
        "fingerprint": corpus.fingerprint,
        "held_out_share": corpus.held_out_share,
        "source_language": config.source_language,
        "target_language": config.target_language,
        "tokenizer": {"given": fingerprint(given.to_json())} if given else trained,
        **({"right_to_left": True} if config.right_to_left else {}),  # which older corpora do not say
    }


def _write(
    folder: UnfinishedFolder, corpus: Corpus, given: Tokenizer | None, config: PairsConfig, recipe: dict[str, Any]
) -> None:
    log.info("Preparing %s, %s to %s", corpus.name, config.source_language, config.target_language)
    size = corpus.size("train")
    tokenizer = tokenizer_of(folder, lambda: given or _train_tokenizer(corpus, config, size))
    counts = {
        split: folder.result(split) or _write_split(folder, corpus, split, tokenizer, size if split == "train" else 0)
        for split in SPLITS
    }
    # The files are read several times. What was read is the corpus of this name only if they are still the same.
    if load_corpus(config).fingerprint != corpus.fingerprint:
        raise InputError(f"data.corpus = {corpus.name!r}: its files changed while they were being read; try again")
    write_manifest(
        folder.path, {**recipe, "vocab_size": tokenizer.vocab_size, "kind": tokenizer.kind, "splits": counts}
    )


def _train_tokenizer(corpus: Corpus, config: PairsConfig, size: int) -> Tokenizer:
    share = MAX_TOKENIZER_PAIRS / max(size, 1)
    if share < 1.0:
        log.info("The tokenizer is trained on %.1f%% of the training pairs, chosen by their content", 100 * share)
    skipped = _Skipped(corpus)
    lines = ((1, line) for line in _lines_to_learn_from(corpus, config, share, skipped))
    tokenizer = train_tokenizer(config, lines, "lines", 2 * min(size, MAX_TOKENIZER_PAIRS))
    skipped.report(config.max_length)
    return tokenizer.from_right_to_left() if config.right_to_left else tokenizer


def _lines_to_learn_from(corpus: Corpus, config: PairsConfig, share: float, skipped: "_Skipped") -> Iterator[str]:
    """Yields the lines of a share of the training pairs, without those that training is certain to leave out."""
    for number, pair in corpus.numbered("train"):
        if not is_in_sample(pair, share) or has_blank_side(pair):
            continue
        if any(_is_too_long(line, config) for line in pair):
            skipped.add(number, pair)
        else:
            yield from pair


def _is_too_long(line: str, config: PairsConfig) -> bool:
    """Returns whether a line is certain to have more than `max_length` tokens, including EOS, with any tokenizer."""
    if config.tokenizer == "characters":
        return len(line) >= config.max_length
    return len(line) > _MOST_CHARACTERS * config.max_length or len(line.split()) >= config.max_length


class _Skipped:
    """Counts the pairs that a tokenizer is not trained on, and records the first ones."""

    def __init__(self, corpus: Corpus):
        self._corpus, self._count, self._first = corpus, 0, []

    def add(self, number: int, pair: LinePair) -> None:
        self._count += 1
        if len(self._first) < 3:
            characters = max(map(len, pair))
            self._first.append(f"{self._corpus.place('train', number)} ({characters:,} characters)")

    def report(self, max_length: int) -> None:
        if self._count:
            names = ", ".join(self._first) + (" and others" if self._count > len(self._first) else "")
            message = "The tokenizer is not trained on %d pairs longer than data.max_length = %d: %s"
            log.info(message, self._count, max_length, names)


def _write_split(
    folder: UnfinishedFolder, corpus: Corpus, split: str, tokenizer: Tokenizer, size: int
) -> dict[str, Any]:
    """Writes or continues the arrays of one split, and the text of validation and test.

    Returns the counts for the manifest. `size` is the number of pairs if it is known, or else 0.
    """
    start = time.monotonic()
    counts = Counter(folder.progress(split))
    if counts:
        log.info("Continuing %s after %d pairs", split, counts["read"])
    writers = [TokenWriter(folder.path, f"{split}.{side}", tokenizer.vocab_size) for side in _SIDES]
    pairs = itertools.islice(corpus.split(split), counts["read"], None)
    # Chunks are read in a thread while others are encoded, on all cores.
    sized = ((len(chunk), chunk) for chunk in in_chunks(pairs, lambda pair: sum(map(len, pair))))
    with contextlib.closing(prefetch(sized, 2)) as chunks:
        for chunk in reported(chunks, f"Encoding {split}", "pairs", size, counts["read"]):
            kept = [pair for pair in chunk if not has_blank_side(pair)] if split == "train" else chunk
            counts.update(read=len(chunk), pairs=len(kept))
            for number, (side, writer) in enumerate(zip(_SIDES, writers, strict=True)):
                lines = [pair[number] for pair in kept]
                ids = tokenizer.encode_targets(lines) if side == "target" else tokenizer.encode_batch(lines)
                counts[f"{side}_unknown"] += sum(sentence.count(UNK_ID) for sentence in ids)
                complete = tokenizer.target_sequence if side == "target" else tokenizer.source_sequence
                writer.extend(list(map(complete, ids)))
                if split in _TEXT_SPLITS:
                    _append_lines(folder.path / f"{split}.{side}.txt", lines)
            folder.save(split, counts)
    for writer in writers:
        writer.close()
    if not counts["pairs"]:
        raise InputError(f"corpus {corpus.name}: its {split} split has no pair with text on both sides")
    result = {"pairs": counts["pairs"], "blank_pairs_left_out": counts["read"] - counts["pairs"]}
    for side, writer in zip(_SIDES, writers, strict=True):
        unknown = counts[f"{side}_unknown"] / writer.total
        result |= {f"{side}_tokens": writer.total, f"{side}_unknown_share": unknown}
    folder.save(split, result, done=True)
    _log_split(split, result, time.monotonic() - start)
    return result


def _log_split(split: str, counts: dict[str, Any], seconds: float) -> None:
    message = "Prepared %s: %d pairs, %d source and %d target tokens, %.1f s"
    log.info(message, split, counts["pairs"], counts["source_tokens"], counts["target_tokens"], seconds)
    if counts["blank_pairs_left_out"]:
        log.info("Left out of %s: %d pairs with a blank side", split, counts["blank_pairs_left_out"])
    for side in _SIDES:
        if counts[f"{side}_unknown_share"]:
            log.info("Unknown tokens on the %s side of %s: %.3f%%", side, split, 100 * counts[f"{side}_unknown_share"])


def _append_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
