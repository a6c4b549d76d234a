"""Corpus and tokenizer to token arrays on disk, once: training reads those.

A prepared corpus is a folder of the cache whose name ends in a hash of all
that decides its content. It is written under another name and renamed when it
is whole, and holds the size of each of its files.
"""

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfmr.config import DataConfig
from tfmr.data.corpora import Corpus, cache_folder, load_corpus
from tfmr.data.corpora.corpus import SPLITS, fingerprint
from tfmr.data.corpora.lines import read_lines
from tfmr.data.token_arrays import TokenArrays, TokenWriter
from tfmr.data.tokenizer import UNK_ID, Tokenizer
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

FORMAT = 1
"""Changes whenever the same input gives other arrays; older prepared corpora are then made anew."""
MAX_TOKENIZER_PAIRS = 1_000_000
"""A tokenizer is trained on at most so many pairs, evenly spaced over the training split."""

_SIDES = ("source", "target")
_TEXT_SPLITS = ("validation", "test")
_CHUNK = 10_000  # pairs that are encoded together
_ABANDONED_AFTER = 24 * 3600.0  # seconds after which a temporary folder is no longer another process's


@dataclass(frozen=True)
class PreparedSplit:
    """The token arrays of both languages; sentence i of one is the translation of sentence i of the other."""

    source: TokenArrays
    target: TokenArrays

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class PreparedCorpus:
    """A prepared corpus in its folder."""

    directory: Path
    """Where it lies."""
    manifest: dict[str, Any] = field(repr=False)
    """What it was made from, and counts: see manifest.json."""
    tokenizer: Tokenizer = field(repr=False)
    """The tokenizer its arrays were made with."""

    @classmethod
    def open(cls, directory: Path) -> "PreparedCorpus":
        """Opens a prepared corpus.

        Raises:
          InputError: if a file is missing or has another size than when it was written.
        """
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            sizes = manifest["files"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{directory}: holds no readable manifest.json of a prepared corpus") from None
        for name, size in sizes.items():
            path = directory / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise InputError(f"{path}: has {found} bytes instead of {size}" if found else f"{path}: is missing")
        return cls(directory, manifest, Tokenizer.from_file(directory / "tokenizer.json"))

    def split(self, split: str) -> PreparedSplit:
        """Returns the token arrays of "train", "validation" or "test"."""
        return PreparedSplit(*(TokenArrays.open(self.directory, f"{split}.{side}") for side in _SIDES))

    def content_hash(self) -> str:
        """Returns a hash of what all its files hold; reads them whole."""
        total = hashlib.blake2b(digest_size=16)
        for name in sorted(self.manifest["files"]):
            with (self.directory / name).open("rb") as file:
                total.update(f"{name} {hashlib.file_digest(file, hashlib.blake2b).hexdigest()}\n".encode())
        return total.hexdigest()

    def text(self, split: str) -> tuple[list[str], list[str]]:
        """Returns the source and target lines of "validation" or "test", as they were before tokenization."""
        source, target = (list(read_lines(self.directory / f"{split}.{side}.txt")) for side in _SIDES)
        return source, target


def prepare(config: DataConfig) -> PreparedCorpus:
    """Returns the prepared corpus that a configuration describes; makes it first if it is not in the cache.

    `data.max_length` plays no part: long pairs are left out when batches are made.

    Raises:
      InputError: for anything wrong with the corpus, its files, or the given tokenizer.
    """
    corpus = load_corpus(config)
    given = Tokenizer.from_file(config.tokenizer_file) if config.tokenizer_file else None
    recipe = _recipe(config, corpus, given)
    name = re.sub(r"[^\w-]+", "_", corpus.name)
    directory = cache_folder(config) / "prepared" / f"{name}-{fingerprint(recipe)[:16]}"
    found = _open_or_discard(directory)
    if found:
        log.info("Found the prepared corpus %s", directory)
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    temporary = directory.with_name(f"{directory.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        _write(temporary, corpus, given, config, recipe)
        _rename(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return PreparedCorpus.open(directory)


def _recipe(config: DataConfig, corpus: Corpus, given: Tokenizer | None) -> dict[str, Any]:
    trained = {"kind": config.tokenizer, "vocab_size": config.vocab_size, "pairs": MAX_TOKENIZER_PAIRS}
    return {
        "format": FORMAT,
        "corpus": corpus.name,
        "fingerprint": corpus.fingerprint,
        "source_language": config.source_language,
        "target_language": config.target_language,
        "tokenizer": {"given": fingerprint(given.to_json())} if given else trained,
    }


def _open_or_discard(directory: Path) -> PreparedCorpus | None:
    if not directory.exists():
        return None
    try:
        return PreparedCorpus.open(directory)
    except InputError as error:
        log.warning("The prepared corpus is damaged and made again: %s", error)
        _discard(directory)
        return None


def _discard(directory: Path) -> None:
    # Renamed first: another process must never see it half removed.
    doomed = directory.with_name(f"{directory.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        directory.rename(doomed)
    except FileNotFoundError:
        return  # another process did
    shutil.rmtree(doomed, ignore_errors=True)


def _remove_abandoned(directory: Path) -> None:
    for leftover in directory.parent.glob(f"{directory.name}.tmp-*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(leftover, ignore_errors=True)


def _rename(temporary: Path, directory: Path) -> None:
    try:
        temporary.rename(directory)
    except OSError:
        # A folder that is not empty is never replaced: another process was first, with the same content.
        if _open_or_discard(directory) is None:
            temporary.rename(directory)


def _write(folder: Path, corpus: Corpus, given: Tokenizer | None, config: DataConfig, recipe: dict[str, Any]) -> None:
    log.info("Preparing %s, %s to %s", corpus.name, config.source_language, config.target_language)
    tokenizer = given or _train_tokenizer(corpus, config)
    tokenizer.save(folder / "tokenizer.json")
    counts = {split: _write_split(folder, corpus, split, tokenizer) for split in SPLITS}
    manifest = {
        **recipe,
        "vocab_size": tokenizer.vocab_size,
        "kind": tokenizer.kind,
        "splits": counts,
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _train_tokenizer(corpus: Corpus, config: DataConfig) -> Tokenizer:
    start = time.monotonic()
    every = -(-corpus.size("train") // MAX_TOKENIZER_PAIRS)
    pairs = itertools.islice(corpus.split("train"), 0, None, every)
    tokenizer = Tokenizer.train(config.tokenizer, itertools.chain.from_iterable(pairs), config.vocab_size)
    seconds = time.monotonic() - start
    log.info("Trained the %s tokenizer: %d tokens, %.1f s", config.tokenizer, tokenizer.vocab_size, seconds)
    return tokenizer


def _write_split(folder: Path, corpus: Corpus, split: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """Writes the arrays of one split, and its text if it is kept; returns what the manifest tells of it."""
    start = time.monotonic()
    writers = [TokenWriter(folder, f"{split}.{side}", tokenizer.vocab_size) for side in _SIDES]
    pairs = blank = 0
    unknown = [0, 0]
    for chunk in _chunks(corpus.split(split)):
        kept = [pair for pair in chunk if pair[0].strip() and pair[1].strip()] if split == "train" else chunk
        blank += len(chunk) - len(kept)
        pairs += len(kept)
        for side, writer in enumerate(writers):
            lines = [pair[side] for pair in kept]
            ids = tokenizer.encode_batch(lines)
            unknown[side] += sum(sentence.count(UNK_ID) for sentence in ids)
            writer.extend(ids)
            if split in _TEXT_SPLITS:
                _append_lines(folder / f"{split}.{_SIDES[side]}.txt", lines)
    for writer in writers:
        writer.close()
    if not pairs:
        raise InputError(f"corpus {corpus.name}: its {split} split holds no pair with text on both sides")
    counts = {"pairs": pairs, "blank_pairs_left_out": blank}
    for side, writer, number in zip(_SIDES, writers, unknown, strict=True):
        counts |= {f"{side}_tokens": writer.total, f"{side}_unknown_share": number / writer.total}
    _log_split(split, counts, time.monotonic() - start)
    return counts


def _log_split(split: str, counts: dict[str, Any], seconds: float) -> None:
    message = "Prepared %s: %d pairs, %d source and %d target tokens, %.1f s"
    log.info(message, split, counts["pairs"], counts["source_tokens"], counts["target_tokens"], seconds)
    if counts["blank_pairs_left_out"]:
        log.info("Left out of %s: %d pairs with a blank side", split, counts["blank_pairs_left_out"])
    for side in _SIDES:
        if counts[f"{side}_unknown_share"]:
            log.info("Unknown tokens in the %s side of %s: %.3f%%", side, split, 100 * counts[f"{side}_unknown_share"])


def _append_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _chunks(pairs: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while chunk := list(itertools.islice(pairs, _CHUNK)):
        yield chunk
