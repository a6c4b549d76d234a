"""The report on the training pairs of a corpus."""

from collections import Counter

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from tfmr.config import PairsConfig
from tfmr.data.blank import has_blank_side
from tfmr.data.chunks import in_chunks
from tfmr.data.corpora.corpus import Corpus, LinePair
from tfmr.data.line_checks import LINE_CHECKS, letters_not_of, main_script, numbers_differ, scripts_of
from tfmr.data.pairs import PairSplit
from tfmr.data.progress import counted
from tfmr.data.report import (
    Findings,
    Hashes,
    Histogram,
    Report,
    count,
    hashes_of,
    occurred_before,
    quantiles,
)
from tfmr.data.tokenizer import EOS_ID

_OUT_OF_PROPORTION = 3.0
"""Lengths are out of proportion if their ratio is this many times more or less than the usual one."""
_ENOUGH_TOKENS = 10
"""The ratio is not checked if both sides are shorter, because short sentences vary more."""
_EVIDENCE = 10.0
"""A line looks like the other language if it is exp(10) times as probable there."""
_EVIDENCE_OF_TOKEN = 3.0
"""The most that a single token counts, so that no rare word decides."""

_SIDES = ("source", "target")
_NOTES = [
    f"Out of proportion: the ratio of target to source tokens is more than {_OUT_OF_PROPORTION:g} times its median, or "
    f"less than 1/{_OUT_OF_PROPORTION:g} of it, and a side has at least {_ENOUGH_TOKENS} tokens.",
    "Looks like the other language: by the frequencies of its tokens on both sides of the corpus, it is much more "
    "probable on the other side. This finds lines in the wrong one of the two languages, but not lines in a third "
    "language.",
]


def report_on_pairs(
    corpus: Corpus, config: PairsConfig, train: PairSplit, held_out: dict[str, tuple[list[str], list[str]]]
) -> Report:
    """Returns the report on the training pairs.

    Args:
      corpus: their text.
      config: the limits of training.
      train: the token arrays of those that have no blank side.
      held_out: the lines of validation and test.
    """
    found, hashes, sizes = Findings(), Hashes(), {}
    arrays = _Arrays(train, config)
    scripts = [main_script(line for lines in held_out.values() for line in lines[side]) for side in (0, 1)]
    total = position = 0
    items = counted(corpus.numbered("train"), "Checking", "pairs", len(train))
    for chunk in in_chunks(items, lambda item: sum(map(len, item[1]))):
        blank = [has_blank_side(pair) for _, pair in chunk]
        found.add(
            "a side is empty, so the pair is left out", (n for (n, _), bad in zip(chunk, blank, strict=True) if bad)
        )
        kept = [item for item, bad in zip(chunk, blank, strict=True) if not bad]
        numbers, pairs = [number for number, _ in kept], [pair for _, pair in kept]
        here = slice(position, position + len(pairs))
        for what, faults in {**arrays.faults(here), **_faults_of_text(pairs, scripts)}.items():
            found.add(what, (number for number, bad in zip(numbers, faults, strict=True) if bad))
        hashes.add(hashes_of(source for source, _ in pairs), hashes_of(map("\n".join, pairs)), numbers)
        for side, name in enumerate(_SIDES):
            lines = [pair[side] for pair in pairs]
            sizes.setdefault(f"{name}, characters", Counter()).update(map(len, lines))
            sizes.setdefault(f"{name}, words", Counter()).update(len(line.split()) for line in lines)
        total, position = total + len(chunk), here.stop
    _add_duplicates(found, hashes, held_out)
    lengths = {name: quantiles(counts) for name, counts in sorted(sizes.items())}
    lengths |= {f"{name}, tokens with EOS": quantiles(count(arrays.lengths[side])) for side, name in enumerate(_SIDES)}
    lengths["target tokens per source token"] = quantiles(count(arrays.ratios.round(2)))
    title = f"The training pairs of {corpus.name}, {config.source_language} to {config.target_language}"
    findings = found.with_examples(corpus.numbered("train"), lambda number: corpus.place("train", number))
    return Report(title, "pairs", total, lengths, findings, _NOTES, arrays.histograms())


def _faults_of_text(pairs: list[LinePair], scripts: list[str]) -> dict[str, list[bool]]:
    """Returns, by what is wrong, whether it is wrong with each pair; `scripts` are those of most lines of each side."""
    faults = {
        "the target is a copy of the source": [source == target for source, target in pairs],
        "numbers in digits differ": [numbers_differ(*pair) for pair in pairs],
    }
    found = [[*map(scripts_of, pair)] for pair in pairs]
    if scripts[0] != scripts[1]:
        swapped = [{scripts[1]}, {scripts[0]}]
        faults["source and target are swapped (by script)"] = [sides == swapped for sides in found]
    for side, name in enumerate(_SIDES):
        for what, check in LINE_CHECKS.items():
            faults[f"{name} has {what}"] = [bool(check(pair[side])) for pair in pairs]
        what = f"{name} has {letters_not_of(scripts[side])}"
        faults[what] = [bool(sides[side] - {scripts[side]}) for sides in found]
    return faults


class _Arrays:
    """What the token arrays say about the pairs."""

    def __init__(self, train: PairSplit, config: PairsConfig):
        self._sides, self._max_length = (train.source, train.target), config.max_length
        self.lengths = train.source.lengths, train.target.lengths
        source, target = self.lengths
        self.ratios = (target - 1) / np.maximum(source - 1, 1)  # without EOS
        self._usual = float(np.median(self.ratios))
        frequencies = [_frequencies(side.tokens) for side in self._sides]
        size = max(map(len, frequencies))
        logs = [np.log(np.pad(counts, (0, size - len(counts))) + 0.5) for counts in frequencies]
        logs = [log - np.log(counts.sum()) for log, counts in zip(logs, frequencies, strict=True)]
        self._evidence = np.clip(logs[0] - logs[1], -_EVIDENCE_OF_TOKEN, _EVIDENCE_OF_TOKEN)
        self._evidence[EOS_ID] = 0.0

    def faults(self, here: slice) -> dict[str, Bool[np.ndarray, " pairs"]]:
        """Returns, by what is wrong, whether it is wrong with each of some consecutive pairs."""
        longest = np.maximum(*(lengths[here] for lengths in self.lengths))
        ratio = self.ratios[here] / self._usual
        odd = (ratio > _OUT_OF_PROPORTION) | (ratio < 1 / _OUT_OF_PROPORTION)
        source, target = (self._evidence_of(side, here) for side in (0, 1))
        like_target, like_source = source < -_EVIDENCE, target > _EVIDENCE
        too_long = f"longer than data.max_length = {self._max_length} tokens, so the pair is left out"
        return {
            too_long: longest > self._max_length,
            "lengths are out of proportion": odd & (longest > _ENOUGH_TOKENS),
            "source and target are swapped (by language)": like_target & like_source,
            "only the source looks like the other language": like_target & ~like_source,
            "only the target looks like the other language": like_source & ~like_target,
        }

    def _evidence_of(self, side: int, here: slice) -> Float[np.ndarray, " pairs"]:
        """Returns how much the tokens of each line speak for the source language, in nats."""
        arrays = self._sides[side]
        offsets = arrays.offsets[here.start : here.stop + 1]
        if len(offsets) < 2:
            return np.empty(0)
        return np.add.reduceat(self._evidence[arrays.tokens[offsets[0] : offsets[-1]]], offsets[:-1] - offsets[0])

    def histograms(self) -> list[Histogram]:
        """Returns the distributions of the lengths and of their ratios."""
        end = max(np.quantile(lengths, 0.999) for lengths in self.lengths)
        edges = np.linspace(0, end, min(int(end), 60) + 1)
        counts = {name: np.histogram(lengths, edges)[0] for name, lengths in zip(_SIDES, self.lengths, strict=True)}
        limit = {f"data.max_length = {self._max_length}": float(self._max_length)} if self._max_length <= end else {}
        bounds = self._usual / _OUT_OF_PROPORTION, self._usual * _OUT_OF_PROPORTION
        ratios = np.linspace(0, 1.5 * bounds[1], 61)
        marks = {"median": self._usual, "out of proportion": bounds[0], "": bounds[1]}
        return [
            Histogram("tokens with EOS", edges, counts, limit),
            Histogram("target tokens per source token", ratios, {"pairs": np.histogram(self.ratios, ratios)[0]}, marks),
        ]


def _frequencies(tokens: Integer[np.ndarray, " total"]) -> Int[np.ndarray, " vocab"]:
    """Returns how often each token occurs. Reads a part at a time, because NumPy copies it."""
    counts = np.zeros(1, np.int64)
    for start in range(0, len(tokens), 10_000_000):
        new = np.bincount(tokens[start : start + 10_000_000], minlength=len(counts))
        new[: len(counts)] += counts
        counts = new
    return counts


def _add_duplicates(found: Findings, hashes: Hashes, held_out: dict[str, tuple[list[str], list[str]]]) -> None:
    sources, pairs, numbers = hashes.all()
    copies = occurred_before(pairs)
    found.add("identical to an earlier pair", numbers[copies].tolist(), hashes.share)
    distinct = sources[~copies]
    several = occurred_before(distinct)
    found.add("an earlier source with a different target", numbers[~copies][several].tolist(), hashes.share)
    for split, lines in held_out.items():
        same = np.isin(pairs, np.array(hashes_of(map("\n".join, zip(*lines, strict=True))), np.uint64))
        found.add(f"identical to a pair in {split}", numbers[same].tolist(), hashes.share)
        source = np.isin(sources, np.array(hashes_of(lines[0]), np.uint64))
        found.add(f"a source from {split} with a different target", numbers[source & ~same].tolist(), hashes.share)
