"""Turns files of running text into documents, and documents into token arrays on disk.

If the text has documents, each ends with EOS, and batches add BOS before it. A text that is a single document consists
of its tokens only. Files are read, split and encoded in parts, so memory does not grow with the text.
"""

import dataclasses
import functools
import itertools
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Integer

from tfmr.config import RunningTextConfig
from tfmr.data.corpora.corpus import fingerprint, hash_of_text
from tfmr.data.corpora.lines import find_files, read_text, sha256_of_files
from tfmr.data.corpus_tokenizer import tokenizer_of, train_tokenizer
from tfmr.data.held_out_text import Part, from_boundary, held_out_passages, until_boundary, without_held_out
from tfmr.data.mixing import described_mixture, is_mixed
from tfmr.data.prepared_folder import PreparedFolder, open_or_make, write_manifest
from tfmr.data.progress import reported
from tfmr.data.report import Report
from tfmr.data.text_batches import TextSplit
from tfmr.data.text_report import report_on_text
from tfmr.data.token_arrays import TokenWriter
from tfmr.data.tokenizer import Tokenizer
from tfmr.data.unfinished_folder import UnfinishedFolder
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

FORMAT = 2
"""Changes whenever the same input gives different arrays, so that older prepared texts are not used."""
SPLITS = ("train", "validation")
MAX_TOKENIZER_CHARACTERS = 1_000_000_000
"""The approximate maximum number of characters of the training text that a tokenizer is trained on."""

_PIECE = 50_000  # number of characters that are encoded at a time
_BATCH = 1_000_000  # number of characters that are encoded in parallel
# A text can be cut after a single line feed between two words, which is always a token of its own; before a space that
# precedes a word, which is always the first character of a token; or else after a full stop or comma of a script
# without spaces.
_CUT = re.compile(r"(?<=\S)\n(?=\S)")
_OTHER_CUT = re.compile(r"(?<=\S)(?= [^\W\d_])|(?<=[\u3001\u3002\uff01\uff0c\uff1f])(?=[^\W\d_])")


class PreparedText(PreparedFolder):
    """A prepared running text."""

    def split(self, split: str) -> TextSplit:
        """Returns the token arrays of "train" or "validation"."""
        arrays = TextSplit.open(self.directory, split)
        entries = self.entries if split == "train" else ()
        return dataclasses.replace(arrays, begin_mark=self.tokenizer.marks.bos, entries=entries)

    def describe(self, config: RunningTextConfig) -> str:
        """Returns a summary for people: the folder, the vocabulary, the splits and the batches of an epoch."""
        plan = self.split("train").plan(config)
        lines = [str(self.directory), f"vocabulary  {self.tokenizer.vocab_size:,} ({self.tokenizer.kind})"]
        for name, counts in self.manifest["splits"].items():
            numbers = (f"{counts[what]:,} {what}" for what in ("documents", "characters", "tokens"))
            lines.append(f"{name:11} {', '.join(numbers)}")
        (bucket,) = plan.buckets
        batches = f"{len(plan.epoch(0)):,} batches of {bucket.rows} x {bucket.target_length}"
        return "\n".join([*lines, f"an epoch    {batches}", *described_mixture(plan.mixture, config.files)])

    def report(self, config: RunningTextConfig) -> Report:
        """Returns a report on what may be wrong with the text, after reading it again."""
        files = find_files(config.files), find_files(config.validation_files)
        return report_on_text(*files, self.split("train").lengths)


class _Text(NamedTuple):
    """The text to prepare."""

    config: RunningTextConfig
    files: list[Path]
    validation_files: list[Path]


def prepare_running_text(config: RunningTextConfig) -> PreparedText:
    """Returns the prepared text that a configuration describes; prepares it first if it is not in the cache.

    Raises:
      InputError: for missing, empty or wrong files, or a tokenizer that is not for running text.
    """
    if not config.files:
        raise InputError("data.files = (): must name at least one text file, as in --data.files input.txt")
    text = _Text(config, find_files(config.files), find_files(config.validation_files))
    given = Tokenizer.from_file(config.tokenizer_file) if config.tokenizer_file else None
    if given and (given.kind == "wordpiece" or given.encode("a b") != [*given.encode("a"), *given.encode(" b")]):
        raise InputError(
            f"data.tokenizer_file = {config.tokenizer_file!r}: adds a space before each line; running text needs a BPE "
            "tokenizer that does not, or a character tokenizer"
        )
    recipe = _recipe(text, given)
    directory = config.cache_folder / "prepared" / f"running_text-{fingerprint(recipe)[:16]}"
    prepared = open_or_make(PreparedText, directory, lambda folder: _write(folder, text, given, recipe))
    if not is_mixed(config.weights):
        return prepared
    characters = prepared.manifest["splits"]["train"]["characters"]
    return prepared.with_entries(config.files, len(prepared.split("train")), lambda: _texts_of_files(text, characters))


class _Split(NamedTuple):
    parts: Callable[[], Iterator[Part]]
    """Returns the parts of its documents in order."""
    size: int
    """Its number of characters."""


def _splits(text: _Text) -> dict[str, _Split]:
    """Returns the splits by name, after reading the text once."""
    config, separator = text.config, text.config.document_separator

    def parts() -> Iterator[Part]:
        return _parts(text.files, separator)

    def read() -> Iterator[Part]:
        return reported(((len(part.text), part) for part in parts()), "Reading", "characters", 0)

    if text.validation_files:
        train = _Split(parts, _size(read()))
        others = functools.partial(_parts, text.validation_files, separator)
        return {"train": train, "validation": _Split(others, _size(others()))}
    if config.validation_share:
        size = _size(read())
        boundary = int(size * (1.0 - config.validation_share))
        train = _Split(lambda: until_boundary(parts(), boundary), boundary)
        return {"train": train, "validation": _Split(lambda: from_boundary(parts(), boundary), size - boundary)}
    held_out, size = held_out_passages(read(), config.held_out_share)
    train = _Split(lambda: without_held_out(parts(), config.held_out_share), size)
    return {"train": train, "validation": _Split(lambda: iter(held_out), _size(held_out))}


def _texts_of_files(text: _Text, left: int) -> list[int]:
    """Returns the number of training documents, or parts of them, of each file.

    Args:
      text: the text.
      left: the number of characters of all of them.
    """
    config, numbers = text.config, []
    for path in text.files:
        parts, number = _parts([path], config.document_separator), 0
        if config.validation_share and not text.validation_files:
            parts = until_boundary(parts, left)
        elif not text.validation_files:
            parts = without_held_out(parts, config.held_out_share)
        for part in reported(((len(part.text), part) for part in parts), f"Counting {path.name}", "characters", 0):
            number += part.last
            left -= len(part.text)
        numbers.append(number)
    return numbers


def _size(parts: Iterable[Part]) -> int:
    return sum(len(part.text) for part in parts)


def _parts(files: Sequence[Path], separator: str) -> Iterator[Part]:
    for path in files:
        yield from _split(read_text(path), separator) if separator else _single(read_text(path))


def _single(texts: Iterator[str]) -> Iterator[Part]:
    text = ""
    for text in texts:
        yield Part(text)
    if text:
        yield Part("", last=True, ends=True)


def _split(texts: Iterator[str], separator: str) -> Iterator[Part]:
    """Yields the documents between separators, without line feeds at their start and end."""
    held, begun = "", False
    for text in texts:
        *ended, held = (held + text).split(separator)
        for rest in ended:
            yield from _last_part(rest, begun)
            begun = False
        # The end may be the beginning of a separator, or line feeds before one.
        ready = held[: max(len(held) - len(separator) + 1, 0)].rstrip("\n")
        held = held[len(ready) :]
        ready = ready if begun else ready.lstrip("\n")
        if ready:
            yield Part(ready)
            begun = True
    yield from _last_part(held, begun)


def _last_part(text: str, begun: bool) -> Iterator[Part]:
    text = text.rstrip("\n") if begun else text.strip("\n")
    if begun or text:
        yield Part(text, last=True, ends=True)


def encode_text(tokenizer: Tokenizer, text: str) -> Integer[np.ndarray, " length"]:
    """Returns the ids of a text of any length, which is encoded piece by piece."""
    pieces = [piece for piece, _ in _pieces([Part(text, last=True)])]
    ids = [np.asarray(ids, np.int32) for ids in tokenizer.encode_batch(pieces)]
    return np.concatenate(ids) if ids else np.empty(0, np.int32)


def _pieces(parts: Iterable[Part]) -> Iterator[tuple[str, Part]]:
    """Joins the parts of each text and cuts it again between tokens; yields each piece with the part that it ends in.

    If there is no such place, the text is cut anywhere.
    """
    waiting, size = [], 0
    longest = _PIECE + _PIECE // 2
    for part in parts:
        waiting.append(part.text)
        size += len(part.text)
        if size < longest and not part.last:
            continue
        text, start = "".join(waiting), 0
        while len(text) - start >= longest:
            area = start + _PIECE, start + longest
            after, before = _CUT.search(text, *area), _OTHER_CUT.search(text, *area)
            end = after.end() if after else before.end() if before else area[1]
            yield text[start:end], Part("")
            start = end
        waiting, size = [text[start:]], len(text) - start
        if part.last:
            yield text[start:], part
            waiting, size = [], 0


def _batches(pieces: Iterator[tuple[str, Part]]) -> Iterator[tuple[int, list[tuple[str, Part]]]]:
    """Yields lists of pieces, each with its number of characters."""
    batch, size = [], 0
    for piece, part in pieces:
        batch.append((piece, part))
        size += len(piece) + 1
        if size >= _BATCH:
            yield size - len(batch), batch
            batch, size = [], 0
    if batch:
        yield size - len(batch), batch


def _recipe(text: _Text, given: Tokenizer | None) -> dict[str, Any]:
    config = text.config
    sums = sha256_of_files([*text.files, *text.validation_files])
    shares = {"validation_share": config.validation_share} if config.validation_share else {}
    held_out = shares or {"held_out_share": config.held_out_share}
    return {
        "format": FORMAT,
        "corpus": "running_text",
        "fingerprint": fingerprint([sums[: len(text.files)], sums[len(text.files) :]]),
        "held_out": None if text.validation_files else held_out,
        "document_separator": config.document_separator,
        "has_documents": config.has_documents,
        "tokenizer": {"given": fingerprint(given.to_json())}
        if given
        else {
            "kind": config.tokenizer,
            "vocab_size": config.vocab_size,
            "normalization": config.normalization,
            "characters": MAX_TOKENIZER_CHARACTERS,
        },
    }


def _write(folder: UnfinishedFolder, text: _Text, given: Tokenizer | None, recipe: dict[str, Any]) -> None:
    files = [*text.files, *text.validation_files]
    log.info("Preparing the text of %s", files[0] if len(files) == 1 else f"{len(files)} files")
    splits = _splits(text)
    _require_text(text, splits)
    tokenizer = tokenizer_of(folder, lambda: given or _train_tokenizer(text.config, splits["train"]))
    documents = text.config.has_documents
    counts = {
        name: folder.result(name) or _write_split(folder, name, split, tokenizer, documents)
        for name, split in splits.items()
    }
    # The files are read several times. What was read is the text of this name only if they are still the same.
    if _recipe(text, given) != recipe:
        raise InputError(f"{', '.join(map(str, text.files))}: the files changed while they were being read; try again")
    write_manifest(
        folder.path, {**recipe, "vocab_size": tokenizer.vocab_size, "kind": tokenizer.kind, "splits": counts}
    )


def _require_text(text: _Text, splits: dict[str, _Split]) -> None:
    names = ", ".join(map(str, text.files))
    if not splits["train"].size:
        raise InputError(f"{names}: no text is left for training; add text, or hold out less")
    if splits["validation"].size:
        return
    if text.validation_files:
        files = ", ".join(map(str, text.validation_files))
        raise InputError(
            f"data.validation_files = {files}: there is no text in them; name files that contain text, or leave this "
            "out to hold out part of data.files"
        )
    if text.config.validation_share:
        raise InputError(
            f"{names}: there is no validation text; increase data.validation_share, or set data.validation_files"
        )
    raise InputError(
        f"{names}: {splits['train'].size} characters are too few to hold out validation text; increase "
        f"data.held_out_share (now {text.config.held_out_share}), set data.validation_share to hold out the end, or "
        "provide data.validation_files"
    )


def _train_tokenizer(config: RunningTextConfig, train: _Split) -> Tokenizer:
    share = MAX_TOKENIZER_CHARACTERS / train.size
    if share < 1.0:
        log.info("The tokenizer is trained on %.1f%% of the training text", 100 * share)
    pieces = (piece for piece, _ in _pieces(train.parts()))
    sample = ((len(piece), piece) for piece in pieces if share >= 1.0 or hash_of_text(piece) < share * 2**64)
    return train_tokenizer(config, sample, "characters", int(train.size * min(share, 1.0)), running_text=True)


def _write_split(
    folder: UnfinishedFolder, name: str, split: _Split, tokenizer: Tokenizer, documents: bool
) -> dict[str, Any]:
    """Writes or continues the arrays of one split; returns the counts for the manifest."""
    counts = Counter(folder.progress(name))
    if counts:
        log.info("Continuing %s after %d characters", name, counts["characters"])
    writer = TokenWriter(folder.path, name, tokenizer.vocab_size)
    batches = _batches(itertools.islice(_pieces(split.parts()), counts["pieces"], None))
    for batch in reported(batches, f"Encoding {name}", "characters", split.size, counts["characters"]):
        encoded = tokenizer.encode_batch([piece for piece, _ in batch])
        for (piece, part), tokens in zip(batch, encoded, strict=True):
            ids = np.asarray(tokens, np.int32)
            mark = tokenizer.marks.eos if documents and part.ends else None
            writer.append(ids, end_mark=mark, last=part.last)
            unknown = 0 if tokenizer.marks.unk is None else int((ids == tokenizer.marks.unk).sum())
            counts.update(pieces=1, documents=int(part.last), characters=len(piece), unknown=unknown)
        folder.save(name, counts)
    writer.close()
    number, characters, unknown = (counts[key] for key in ("documents", "characters", "unknown"))
    result = {"documents": number, "characters": characters, "tokens": writer.total, "unknown": unknown}
    folder.save(name, result, done=True)
    documents_read = f"{number} document{'s' * (number != 1)}"
    log.info("Prepared %s: %s, %d characters, %d tokens", name, documents_read, characters, writer.total)
    if unknown:
        log.info("Unknown tokens in %s: %.3f%%", name, 100 * unknown / writer.total)
    return result
