"""Turns files of running text into documents, and documents into token arrays on disk.

If the text has documents, each ends with EOS, and batches add BOS before it. A text that is a single document consists
of its tokens only.
"""

import dataclasses
import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Integer

from tfmr.config import RunningTextConfig
from tfmr.data.corpora.corpus import fingerprint
from tfmr.data.corpora.lines import missing_file, read_text, sha256_of_file
from tfmr.data.prepared_folder import PreparedFolder, open_or_make, write_manifest
from tfmr.data.text_batches import TextSplit
from tfmr.data.token_arrays import TokenWriter
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

FORMAT = 1
"""Changes whenever the same input gives different arrays, so that older prepared texts are not used."""
SPLITS = ("train", "validation")

_PIECE = 1_000_000  # number of characters that are encoded at a time
# No token contains a single line feed between two words, so a text can be cut after one.
_CUT = re.compile(r"(?<=\S)\n(?=\S)")


class PreparedText(PreparedFolder):
    """A prepared running text."""

    def split(self, split: str) -> TextSplit:
        """Returns the token arrays of "train" or "validation"."""
        arrays = TextSplit.open(self.directory, split)
        return dataclasses.replace(arrays, begin_mark=self.tokenizer.marks.bos)

    def describe(self, config: RunningTextConfig) -> str:
        """Returns a summary for people: the folder, the vocabulary, the splits and the batches of an epoch."""
        plan = self.split("train").plan(config)
        lines = [str(self.directory), f"vocabulary  {self.tokenizer.vocab_size:,} ({self.tokenizer.kind})"]
        for name, counts in self.manifest["splits"].items():
            numbers = (f"{counts[what]:,} {what}" for what in ("documents", "characters", "tokens"))
            lines.append(f"{name:11} {', '.join(numbers)}")
        (bucket,) = plan.buckets
        batches = f"{len(plan.epoch(0)):,} batches of {bucket.rows} x {bucket.target_length}"
        return "\n".join([*lines, f"an epoch    {batches}"])


class Document(NamedTuple):
    """A document, or the part of it that is in a split."""

    text: str
    ends: bool
    """Whether the document ends here."""


def prepare_running_text(config: RunningTextConfig) -> PreparedText:
    """Returns the prepared text that a configuration describes; prepares it first if it is not in the cache.

    Raises:
      InputError: for missing, empty or wrong files, or a tokenizer that is not for running text.
    """
    if not config.files:
        raise InputError("data.files = (): must name at least one text file, as in --data.files input.txt")
    for name in (*config.files, *config.validation_files):
        if not Path(name).expanduser().is_file():
            raise missing_file(Path(name).expanduser())
    given = Tokenizer.from_file(config.tokenizer_file) if config.tokenizer_file else None
    if given and (given.kind == "wordpiece" or given.encode("a b") != [*given.encode("a"), *given.encode(" b")]):
        raise InputError(
            f"data.tokenizer_file = {config.tokenizer_file!r}: puts a space before each line; running text needs a BPE "
            "that does not, or characters"
        )
    recipe = _recipe(config, given)
    directory = config.cache_folder / "prepared" / f"running_text-{fingerprint(recipe)[:16]}"
    return open_or_make(PreparedText, directory, lambda folder: _write(folder, config, given, recipe))


def documents(config: RunningTextConfig, split: str) -> Iterator[Document]:
    """Yields the documents of "train" or "validation" in order, with one file in memory at a time.

    Without validation files, the text is split at a character, which may be inside a document.
    """
    if config.validation_files:
        files = config.files if split == "train" else config.validation_files
        yield from (Document(text, True) for text in _texts(files, config.document_separator))
        return
    characters = sum(map(len, _texts(config.files, config.document_separator)))
    boundary = int(characters * (1.0 - config.validation_share))
    start = 0
    for text in _texts(config.files, config.document_separator):
        cut = min(max(boundary - start, 0), len(text))
        part = text[:cut] if split == "train" else text[cut:]
        if part:
            yield Document(part, ends=split == "validation" or cut == len(text))
        start += len(text)


def _texts(files: Sequence[str], separator: str) -> Iterator[str]:
    for name in files:
        text = read_text(Path(name).expanduser())
        parts = [part.strip("\n") for part in text.split(separator)] if separator else [text]
        yield from (part for part in parts if part)


def encode_text(tokenizer: Tokenizer, text: str) -> Integer[np.ndarray, " length"]:
    """Returns the ids of a text of any length, which is encoded piece by piece."""
    ids = [np.asarray(tokenizer.encode(piece), np.int32) for piece in _pieces(text)]
    return np.concatenate(ids) if ids else np.empty(0, np.int32)


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + _PIECE)
        end = cut.end() if cut else len(text)
        yield text[start:end]
        start = end


def _recipe(config: RunningTextConfig, given: Tokenizer | None) -> dict[str, Any]:
    sums = [
        [sha256_of_file(Path(name).expanduser()) for name in names] for names in (config.files, config.validation_files)
    ]
    return {
        "format": FORMAT,
        "corpus": "running_text",
        "fingerprint": fingerprint(sums),
        "validation_share": None if config.validation_files else config.validation_share,
        "document_separator": config.document_separator,
        "has_documents": config.has_documents,
        "tokenizer": {"given": fingerprint(given.to_json())}
        if given
        else {"kind": config.tokenizer, "vocab_size": config.vocab_size},
    }


def _write(folder: Path, config: RunningTextConfig, given: Tokenizer | None, recipe: dict[str, Any]) -> None:
    log.info("Preparing the text of %d files", len(config.files) + len(config.validation_files))
    tokenizer = given or _train_tokenizer(config)
    tokenizer.save(folder / "tokenizer.json")
    counts = {split: _write_split(folder, config, split, tokenizer) for split in SPLITS}
    # The files are read several times. What was read is the text of this name only if they are still the same.
    if _recipe(config, given) != recipe:
        raise InputError(f"{', '.join(config.files)}: the files changed while they were read; try again")
    write_manifest(folder, {**recipe, "vocab_size": tokenizer.vocab_size, "kind": tokenizer.kind, "splits": counts})


def _train_tokenizer(config: RunningTextConfig) -> Tokenizer:
    start = time.monotonic()
    pieces = (piece for document in documents(config, "train") for piece in _pieces(document.text))
    tokenizer = Tokenizer.train(config.tokenizer, pieces, config.vocab_size, running_text=True)
    seconds = time.monotonic() - start
    log.info("Trained the %s tokenizer: %d tokens, %.1f s", config.tokenizer, tokenizer.vocab_size, seconds)
    return tokenizer


def _write_split(folder: Path, config: RunningTextConfig, split: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """Writes the arrays of one split; returns the counts for the manifest."""
    writer = TokenWriter(folder, split, tokenizer.vocab_size)
    number = characters = unknown = 0
    for document in documents(config, split):
        ids = encode_text(tokenizer, document.text)
        writer.append(ids, end_mark=tokenizer.marks.eos if config.has_documents and document.ends else None)
        number += 1
        characters += len(document.text)
        unknown += 0 if tokenizer.marks.unk is None else int((ids == tokenizer.marks.unk).sum())
    writer.close()
    if not writer.total:
        own = config.validation_files if split == "validation" else ()
        raise InputError(f"{', '.join(own or config.files)}: the {split} split has no text")
    log.info("Prepared %s: %d documents, %d characters, %d tokens", split, number, characters, writer.total)
    if unknown:
        log.info("Unknown tokens in %s: %.3f%%", split, 100 * unknown / writer.total)
    return {"documents": number, "characters": characters, "tokens": writer.total, "unknown": unknown}
