"""Chooses the parts of a running text that are held out for validation.

By default, the text is cut into passages at places that its content determines, and a passage is held out if its hash
is in a fixed range. A passage therefore stays in training or validation when text is added or removed elsewhere.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tfmr.data.corpora.corpus import MAX_HELD_OUT, Smallest, hash_of_text

PASSAGE = 4096
"""The mean number of characters of a passage. A shorter document is one passage."""

_LONGEST_PASSAGE = 16 * PASSAGE
_LINE = re.compile(rf"[^\n]{{1,{PASSAGE}}}\n?|\n")  # longer lines are split


class Part(NamedTuple):
    """A part of a document, or of the share of it that a split contains."""

    text: str
    last: bool = False
    """Whether this is the last of the consecutive parts that belong together."""
    ends: bool = False
    """Whether the document ends here."""


def until_boundary(parts: Iterator[Part], boundary: int) -> Iterator[Part]:
    """Yields the first `boundary` characters; a document that is cut there does not end."""
    left, begun = boundary, False
    for part in parts:
        if len(part.text) > left:
            if left or begun:
                yield Part(part.text[:left], last=True)
            return
        yield part
        left -= len(part.text)
        begun = not part.last


def from_boundary(parts: Iterator[Part], boundary: int) -> Iterator[Part]:
    """Yields the characters after the first `boundary`."""
    start = 0
    begun = False
    for part in parts:
        text = part.text[max(boundary - start, 0) :]
        start += len(part.text)
        if text or begun:
            yield part._replace(text=text)
            begun = not part.last


def passages(parts: Iterator[Part]) -> Iterator[Part]:
    """Cuts documents into passages, each of which is a part."""
    passage, size, rest = [], 0, ""
    for part in parts:
        lines = _LINE.findall(rest + part.text)
        rest = lines.pop() if lines and not part.last else ""  # the line may continue
        for line in lines:
            if passage and (size >= _LONGEST_PASSAGE or _begins_passage(line)):
                yield Part("".join(passage))
                passage, size = [], 0
            passage.append(line)
            size += len(line)
        if part.last:
            yield Part("".join(passage), last=True, ends=part.ends)
            passage, size = [], 0


def _begins_passage(line: str) -> bool:
    return hash_of_text(line) < (len(line) << 64) // PASSAGE


def is_held_out(passage: str, share: float) -> bool:
    """Returns whether a passage belongs to this share of all passages, which is held out for validation."""
    return hash_of_text(passage) < share * (1 << 64) and not passage.isspace()


def without_held_out(parts: Iterator[Part], share: float) -> Iterator[Part]:
    """Yields the passages that are not held out. Adjacent ones belong together."""
    before = None
    for passage in passages(parts):
        held_out = is_held_out(passage.text, share)
        if before is not None:
            yield before._replace(last=before.last or held_out)
        before = None if held_out else passage
    if before is not None:
        yield before


def held_out_passages(parts: Iterator[Part], share: float) -> tuple[list[Part], int]:
    """Returns the distinct passages that are held out, in order, and the number of characters of all others.

    If there are many, those with the smallest hashes are returned.
    """
    smallest, others = Smallest[Part](MAX_HELD_OUT), 0
    for passage in passages(parts):
        if is_held_out(passage.text, share):
            smallest.add(hash_of_text(passage.text), passage._replace(last=True))
        else:
            others += len(passage.text)
    return smallest.in_order(), others
