"""The parts of a document: segments of running text, each a sequence of text and of what stays as it is.

A segment knows its place in the document. Whatever lies between segments is copied, so the structure of a document
cannot change: only the characters of its segments are written anew.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "kept", "open", "close", "single", "break"]

KEPT_TAGS = frozenset({"code", "kbd", "samp", "tt", "var"})
"""Inline elements whose content is not prose."""


@dataclass(frozen=True)
class Piece:
    """A part of a segment.

    Attributes:
      kind: "text" is translated. "kept" is a word that every language writes in the same way, such as a placeholder or
        code. "open", "close" and "single" are markup. "break" is a line break within a paragraph.
      source: what the document says.
      text: what a reader sees, without escapes and entities. Empty for markup; a space for a break.
      tag: the name of the element that a piece opens or closes, if it has one.
      keep: whether everything up to the end of the element stays as it is.
    """

    kind: Kind
    source: str
    text: str = ""
    tag: str = ""
    keep: bool = False

    @property
    def is_mark(self) -> bool:
        """Whether the piece has no text of its own for the model."""
        return self.kind not in ("text", "kept")


@dataclass(frozen=True)
class Segment:
    """A paragraph, a heading, a cell, a line: text that is translated together.

    Attributes:
      start, end: the characters of the document that the segment replaces.
      pieces: the parts, in order.
      escape: returns text as the document writes it. Its second argument is whether a line begins with it.
    """

    start: int
    end: int
    pieces: tuple[Piece, ...]
    escape: Callable[[str, bool], str]

    def moved(self, characters: int) -> "Segment":
        """Returns the segment that many characters further on."""
        return dataclasses.replace(self, start=self.start + characters, end=self.end + characters)


def make_segments(runs: Iterable[Sequence[tuple[int, Piece]]], escape: Callable[[str, bool], str]) -> Iterator[Segment]:
    """Yields a segment for each run of pieces with their positions in the document, if it has text to translate.

    White space at the ends is left out, and so is markup outside of it.
    """
    for run in runs:
        pieces = list(_with_kept_elements(run))
        while pieces and _is_outside(pieces[0][1], pieces):
            pieces.pop(0)
        while pieces and _is_outside(pieces[-1][1], pieces):
            pieces.pop()
        if not any(has_letters(piece.text) for _, piece in pieces if piece.kind == "text"):
            continue
        start, (last, piece) = pieces[0][0], pieces[-1]
        yield Segment(start, last + _length(piece), tuple(_joined(piece for _, piece in pieces)), escape)


def has_letters(text: str) -> bool:
    """Returns whether a text has anything to translate."""
    return any(character.isalpha() for character in text)


@dataclass(frozen=True)
class Rewritten(Piece):
    """A piece that the output writes in another way than the document.

    Attributes:
      length: the number of characters that it has in the document.
    """

    length: int = 0


def _length(piece: Piece) -> int:
    return piece.length if isinstance(piece, Rewritten) else len(piece.source)


def _is_outside(piece: Piece, pieces: Sequence[tuple[int, Piece]]) -> bool:
    """Returns whether a piece at an end of a segment can be left out of it."""
    if piece.kind in ("text", "break"):
        return not piece.text.strip()
    # An element that begins or ends inside of the segment belongs to it as a whole.
    return piece.kind == "single" or len(pieces) == 1


def _with_kept_elements(run: Sequence[tuple[int, Piece]]) -> Iterator[tuple[int, Piece]]:
    """Yields the pieces, each element that stays as it is as one piece."""
    depth, begun = 0, []
    for start, piece in run:
        if not begun and not (piece.kind == "open" and (piece.keep or piece.tag in KEPT_TAGS)):
            yield start, piece
            continue
        begun.append((start, piece))
        if piece.tag == begun[0][1].tag:
            depth += {"open": 1, "close": -1}.get(piece.kind, 0)
        if depth == 0:
            yield begun[0][0], _as_kept([piece for _, piece in begun])
            begun = []
    yield from begun  # an element without an end


def _as_kept(pieces: Sequence[Piece]) -> Piece:
    text = " ".join("".join(piece.text for piece in pieces).split())
    return Piece("kept" if text else "single", "".join(piece.source for piece in pieces), text)


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yields the pieces with neighbouring texts joined."""
    text: Piece | None = None
    for piece in pieces:
        if piece.kind == "text" and text:
            text = dataclasses.replace(text, source=text.source + piece.source, text=text.text + piece.text)
            continue
        if text:
            yield text
        text = piece if piece.kind == "text" else None
        if not text:
            yield piece
    if text:
        yield text
