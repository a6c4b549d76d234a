"""Division of a segment into sentences, by the `sentencex` library."""

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfmr.translation.documents.pieces import Piece
from tfmr.translation.documents.protected import cut


def split_sentences(
    pieces: Sequence[Piece], language: str, escape: Callable[[str, bool], str]
) -> Iterator[list[Piece]]:
    """Yields the pieces of each sentence; text is cut where a sentence ends.

    `language` is the code of the language, such as "en". The library has rules for a few hundred languages, and uses
    those of English for others.
    """
    ends = iter(_ends(pieces, language))
    end, position = next(ends, None), 0
    sentence: list[Piece] = []
    for piece in pieces:
        # Markup that closes belongs to the sentence before it.
        while end is not None and position >= end and piece.kind != "close":
            yield sentence
            sentence, end = [], next(ends, None)
        first = position
        position += len(piece.text)
        while piece.kind == "text" and end is not None and position > end:
            sentence += cut(piece, 0, end - first, escape)
            [piece] = cut(piece, end - first, len(piece.text), escape)
            yield sentence
            first, sentence, end = end, [], next(ends, None)
        sentence.append(piece)
    if sentence:
        yield sentence


def _ends(pieces: Sequence[Piece], language: str) -> list[int]:
    """Returns the position after each sentence but the last, in the text of all pieces."""
    segment: Any = importlib.import_module("sentencex").segment  # its types are not declared

    # A full stop within a placeholder or an address does not end a sentence.
    text = "".join("x" * len(piece.text) if _hides_stops(piece) else piece.text for piece in pieces)
    parts = segment(language, text)
    if "".join(parts) != text:
        return []
    ends = list(itertools.accumulate(map(len, parts)))[:-1]
    inside = set()
    position = 0
    for piece in pieces:
        if piece.kind == "kept":
            inside.update(range(position + 1, position + len(piece.text)))
        position += len(piece.text)
    return [end for end in ends if end not in inside]


def _hides_stops(piece: Piece) -> bool:
    return piece.kind == "kept" and not piece.text[:1].isdigit()
