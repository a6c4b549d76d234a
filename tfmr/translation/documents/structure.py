"""The structure of a document, which must be that of its translation.

Moving markup can give it another meaning: `**` between two line breaks is a rule, and a number before a full stop
begins a list if it comes first in a line. Which characters are markup depends on what surrounds them, so what is
written is parsed again and compared with the document.
"""

import bisect
import collections
import logging
from collections.abc import Iterable, Sequence

from tfmr.translation.documents.formats import Format
from tfmr.translation.documents.pieces import Segment

log = logging.getLogger("tfmr")


def with_translations(text: str, segments: Sequence[Segment], translations: Sequence[str]) -> tuple[str, list[int]]:
    """Returns a text with the translations of its segments, and where in it each of them begins."""
    out, size, position, starts = [], 0, 0, []
    for segment, translation in zip(segments, translations, strict=True):
        starts.append(size + segment.start - position)
        out += [text[position : segment.start], translation]
        size = starts[-1] + len(translation)
        position = segment.end
    return "".join([*out, text[position:]]), starts


def changed_segments(text: str, segments: Sequence[Segment], translations: Sequence[str], form: Format) -> list[int]:
    """Returns the indices of the segments in which, or after which, the translations change the elements.

    The order of the elements of a segment does not matter, as a translation can have words that stay as they are, such
    as code, in another order.
    """
    translated, starts = with_translations(text, segments, translations)
    if translated == text:
        return []
    before = _elements(form.structure(text), [segment.start for segment in segments])
    after = _elements(form.structure(translated), starts)
    return [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]


def _elements(elements: Iterable[tuple[int, str]], starts: Sequence[int]) -> list[collections.Counter[str]]:
    """Returns the elements up to the start of the second segment, from there to that of the third, and so on."""
    found = [collections.Counter() for _ in starts]
    for position, element in elements:
        found[max(bisect.bisect_right(starts, position) - 1, 0)][element] += 1
    return found


def changed_in_blocks(text: str, segments: Sequence[Segment], translations: Sequence[str], form: Format) -> list[int]:
    """Returns what `changed_segments` does for each block by itself.

    So where a translation changes what follows its block, it is the only one that is found. The time is linear.
    """
    starts = [segment.start for segment in segments]
    changed = []
    for begin, end in form.blocks(text):
        first, last = bisect.bisect_left(starts, begin), bisect.bisect_left(starts, end)
        inside = [segment.moved(-begin) for segment in segments[first:last]]
        found = changed_segments(text[begin:end], inside, translations[first:last], form)
        changed += [first + index for index in found]
    return changed


def without_changes(text: str, segments: Sequence[Segment], translations: Sequence[str], form: Format) -> list[str]:
    """Returns the translations, and the source of those which change the structure; these are reported."""
    found = _left(text, segments, translations, changed_in_blocks(text, segments, translations, form))
    found = _left(text, segments, found, changed_segments(text, segments, found, form))
    if changed_segments(text, segments, found, form):
        return _left(text, segments, found, range(len(found)))
    return found


def _left(text: str, segments: Sequence[Segment], translations: Sequence[str], indices: Iterable[int]) -> list[str]:
    """Returns the translations, of which some are replaced by their sources and reported."""
    found = list(translations)
    for index in indices:
        found[index] = text[segments[index].start : segments[index].end]
        if found[index] != translations[index]:
            line = text.count("\n", 0, segments[index].start) + 1
            log.warning(
                "line %d: its translation would change the markup, and it stays as it is: %.60s", line, found[index]
            )
    return found
