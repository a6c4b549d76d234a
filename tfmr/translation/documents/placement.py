"""Where markup, line breaks and words that stay as they are go in a translation.

They keep their order, so elements stay nested as they are. Each has a position between two words of the source. These
divide the source into parts, and the translation is divided into as many: so that the words of each part of the
translation give most attention to the words of the same part of the source.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tfmr.translation.documents.pieces import Piece
from tfmr.translation.word_alignment import WORD

_CLOSING = re.compile(r"[.,;:!?)\]}\u00bb\u201c\u201d\u2019\u3002\uff0c]")


@dataclass(frozen=True)
class Mark:
    """A piece that is not part of the text.

    Attributes:
      piece: the piece.
      position: the number of characters of the text before it.
      before, after: whether there is white space directly before and after it.
    """

    piece: Piece
    position: int
    before: bool
    after: bool


@dataclass(frozen=True)
class Marked:
    """The text of a sentence, without the marks in it, and the words in it that stay as they are."""

    text: str
    marks: tuple[Mark, ...]
    kept: tuple[Piece, ...]


def marked(pieces: Sequence[Piece], with_kept: bool) -> Marked:
    """Returns the sentence of these pieces. White space becomes a single space, and is left out at the ends.

    With `with_kept`, words that stay as they are are part of the text; otherwise they are marks.
    """
    text, marks, kept = "", [], []
    for index, piece in enumerate(pieces):
        if piece.kind == "text" or (piece.kind == "kept" and with_kept):
            kept += [piece] if piece.kind == "kept" else []
            words = " ".join(piece.text.split())
            left_out = index and pieces[index - 1].kind == "kept" and not with_kept
            if left_out and _CLOSING.match(piece.text) and text.endswith(" "):
                text = text[:-1]
            if piece.text[:1].isspace() and text and not text.endswith(" "):
                text += " "
            text += words + " " * (bool(words) and piece.text[-1:].isspace())
        else:
            before, after = pieces[index - 1 : index], pieces[index + 1 : index + 2]
            left = bool(before) and before[0].text[-1:].isspace()
            right = bool(after) and after[0].text[:1].isspace()
            marks.append(Mark(piece, len(text), left, right))
            if piece.kind == "break" and text and not text.endswith(" "):
                text += " "
    text = text.strip()
    marks = [dataclasses.replace(mark, position=min(mark.position, len(text))) for mark in marks]
    return Marked(text, tuple(marks), tuple(kept))


class Unit(NamedTuple):
    """A word or a punctuation mark of a text, and the piece whose text it is if it stays as it is."""

    start: int
    end: int
    piece: Piece | None = None


def units_of(text: str, kept: Sequence[Piece] = ()) -> list[Unit]:
    """Returns the words and punctuation marks of a text; each of the words in `kept` is a single unit."""
    of_text = {piece.text: piece for piece in kept}
    literal = "|".join(_whole(word) for word in sorted(of_text, key=len, reverse=True))
    pattern = f"({literal})|{WORD}" if literal else f"(?!)()|{WORD}"
    return [Unit(*match.span(), of_text.get(match.group(1) or "")) for match in re.finditer(pattern, text)]


def _whole(word: str) -> str:
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    # 7 is not part of 7.5, but may end a sentence.
    apart = (r"(?<!\d[.,:/-])", r"(?![.,:/-]\d)") if word[:1].isdigit() else ("", "")
    return f"{apart[0]}{before}{re.escape(word)}{after}{apart[1]}"


def is_word(text: str, unit: Unit) -> bool:
    """Returns whether a unit of a text is not a punctuation mark."""
    return unit.piece is not None or any(character.isalnum() for character in text[unit.start : unit.end])


def bounds_of(source: Marked, units: Sequence[Unit]) -> list[int]:
    """Returns the number of units before each mark, in non-decreasing order. A unit is never divided."""
    bounds = [
        sum(unit.start < mark.position if mark.piece.kind == "close" else unit.end <= mark.position for unit in units)
        for mark in source.marks
    ]
    return list(itertools.accumulate(bounds, max))


def diagonal(targets: int, sources: int) -> Float[np.ndarray, "targets sources"]:
    """Returns weights for texts with the same order of words: how much each target unit overlaps with each source unit.

    Both texts are stretched to the same length.
    """
    starts, edges = np.arange(targets)[:, None] / max(targets, 1), np.arange(sources) / max(sources, 1)
    ends = np.minimum(starts + 1 / max(targets, 1), edges + 1 / max(sources, 1))
    return np.maximum(ends - np.maximum(starts, edges), 0.0) * targets


def divide(
    weights: Float[np.ndarray, "targets sources"], bounds: Sequence[int], words: Sequence[bool]
) -> list[int] | None:
    """Returns the number of target words before each mark, given the number of source units before each.

    Of all divisions, this is the one in which the words of each part of the target have the largest sum of weights
    for the units of the same part of the source. Parts with words in the source have at least one word in the target,
    and those without any units have none. None: the target has too few words.

    Args:
      weights: the attention of each word of the target to each unit of the source.
      bounds: the number of source units before each mark, in non-decreasing order.
      words: whether each unit of the source is a word.
    """
    targets, sources = weights.shape
    best = np.array([0.0] + [-np.inf] * targets)  # the largest sum if the parts so far have the first i words
    begins = []
    for start, end in itertools.pairwise([0, *bounds, sources]):
        begin = list(range(len(best)))
        if end > start:
            best, begin = _with_part(best, weights[:, start:end].sum(axis=1), int(any(words[start:end])))
        begins.append(begin)
    if best[targets] == -np.inf:
        return None
    found, end = [], targets
    for begin in reversed(begins):
        end = begin[end]
        found.append(end)
    return found[-2::-1]  # where each part but the first begins


def _with_part(
    best: Float[np.ndarray, " ends"], gains: Float[np.ndarray, " targets"], least: int
) -> tuple[Float[np.ndarray, " ends"], list[int]]:
    """Returns the largest sums with one more part, and where the part begins for each of its ends.

    The part has at least `least` words, 0 or 1.
    """
    total = np.concatenate([[0.0], np.cumsum(gains)])
    values, begins, begin = np.full(len(best), -np.inf), [0] * len(best), 0
    for end in range(least, len(best)):
        newest = end - least
        if best[newest] - total[newest] > best[begin] - total[begin]:
            begin = newest
        begins[end], values[end] = begin, best[begin] - total[begin] + total[end]
    return values, begins


def place(
    source: Marked, target: str, units: Sequence[Unit], weights: Float[np.ndarray, "targets sources"]
) -> list[int] | None:
    """Returns the number of units of the target before each mark; None if the target has too few words.

    The weights are of all units. A mark stands before or after the punctuation between two words as it does in the
    source.
    """
    if not source.marks:
        return []
    sources = units_of(source.text, source.kept)
    of_source = [is_word(source.text, unit) for unit in sources]
    words = [index for index, unit in enumerate(units) if is_word(target, unit)]
    bounds = bounds_of(source, sources)
    places = divide(weights[words], bounds, of_source)
    if places is None:
        return None
    found = []
    for mark, bound, number in zip(source.marks, bounds, places, strict=True):
        first = words[number - 1] + 1 if number else 0
        last = words[number] if number < len(words) else len(units)
        follows_punctuation = bound > 0 and not of_source[bound - 1]
        found.append(last if follows_punctuation or mark.piece.kind in ("open", "break") else first)
    return list(itertools.accumulate(found, max))


def write(
    target: str,
    units: Sequence[Unit],
    marks: Sequence[Mark],
    bounds: Sequence[int],
    escape: Callable[[str, bool], str],
    begins_line: bool,
) -> str:
    """Returns the translation with each mark before the unit with the index in `bounds`."""
    out = ""
    starts = begins_line
    for index in range(len(units) + 1):
        here = [mark for mark, bound in zip(marks, bounds, strict=True) if bound == index]
        last = units[index - 1].end if index else 0
        gap = target[last : units[index].start] if index < len(units) else ""
        following = target[units[index].start] if index < len(units) else ""
        out = _join(out, here, gap, following)
        starts = starts or any(mark.piece.kind == "break" for mark in here)
        if index < len(units):
            unit = units[index]
            # A number at the beginning of a line can be markup.
            as_it_is = unit.piece and not (starts and unit.piece.text[0].isdigit())
            out += unit.piece.source if unit.piece and as_it_is else _escaped(target, unit, escape, starts)
            starts = False
    return out


_NEAR = 40


def _escaped(target: str, unit: Unit, escape: Callable[[str, bool], str], starts: bool) -> str:
    """Returns a unit as the document writes it, which may depend on what follows."""
    following = target[unit.end : unit.end + _NEAR]
    both, rest = escape(target[unit.start : unit.end] + following, starts), escape(following, False)
    return both[: len(both) - len(rest)]


def _join(out: str, marks: Sequence[Mark], gap: str, following: str) -> str:
    """Returns the text so far with marks and white space before the next unit, which begins with `following`."""
    if not any(mark.piece.kind in ("kept", "single", "break") for mark in marks):
        closing = "".join(mark.piece.source for mark in itertools.takewhile(_closes, marks))
        others = "".join(mark.piece.source for mark in itertools.dropwhile(_closes, marks))
        return f"{out}{closing}{gap}{others}"
    apart = False  # after the last mark
    for mark in marks:
        is_break = mark.piece.kind == "break"
        joins = mark.piece.kind == "kept" and out[-1:].isalnum() and mark.piece.source[0].isalnum()
        if (mark.before or joins) and out and not is_break and not out[-1].isspace():
            out += " "
        out += mark.piece.source
        apart = mark.after and not is_break
    apart = apart or (out[-1:].isalnum() and following.isalnum() and marks[-1].piece.kind == "kept")
    wanted = (apart and not _CLOSING.match(following)) or (gap and marks[-1].piece.kind != "open")
    return f"{out} " if wanted and following and not out[-1].isspace() else out


def _closes(mark: Mark) -> bool:
    return mark.piece.kind == "close"
