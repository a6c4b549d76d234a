"""SubRip subtitles (.srt), parsed by the `srt` library."""

import re
from collections.abc import Iterator

from tfmr.errors import InputError
from tfmr.translation.documents.pieces import Piece, Segment, make_segments
from tfmr.translation.documents.plain_text import as_it_is
from tfmr.translation.documents.protected import split_tags

_SPEAKER = re.compile(r"[-\u2010-\u2015]\s*(?=\S)")  # "- Hello.": another speaker says this line


def subrip_segments(text: str) -> Iterator[Segment]:
    """Yields a segment for each cue, or for each speaker of a cue whose lines begin with dashes.

    Raises:
      InputError: if the text is not in the format.
    """
    return make_segments(_runs(text), as_it_is)


def subrip_structure(text: str) -> Iterator[tuple[int, str]]:
    """Yields the position and kind of each line, and that of each tag with its source."""
    for match in re.finditer(r"[^\r\n]*(?:\r?\n)?", text):
        line = match.group()
        # A cue ends with a blank line, and begins with a line of times.
        yield match.start(), "times" if _TIMES.match(line) else "line" if line.strip() else "blank"
        yield from ((at, piece.source) for at, piece in split_tags(line, match.start()) if piece.kind != "text")


def _runs(text: str) -> Iterator[list[tuple[int, Piece]]]:
    run: list[tuple[int, Piece]] = []
    for start, end in _contents(text):
        for line in re.finditer(r"([^\r\n]*)(\r?\n)?", text[start:end]):
            begin = start + line.start()
            speaker = _SPEAKER.match(line.group(1))
            if speaker:
                yield run
                run = []
                begin += speaker.end()
            run += split_tags(line.group(1)[speaker.end() if speaker else 0 :], begin)
            if line.group(2):
                run.append((start + line.start(2), Piece("break", line.group(2), " ")))
        yield run
        run = []


_ARROW = re.compile(r"-[ -] *>")
"""As the library reads it."""
_TIMES = re.compile(r"\s*\d[\d:.,]*\s*-[ -] *>\s*\d")


def _contents(text: str) -> list[tuple[int, int]]:
    """Returns the positions of the text of each cue."""
    import srt

    # The library's time grows with the cube of the length of a number, and with the square of that of white space.
    text = re.sub(r"[0-9]{9,}", lambda match: "x" * len(match.group()), text)
    if re.search(r"\s{300}", text):
        raise InputError("not SubRip: 300 blank characters in a row; remove them")
    try:
        contents = [cue.content for cue in srt.parse(text)]
    except (srt.SRTParseError, srt.TimestampParseError, ValueError) as error:
        line = text.count("\n", 0, getattr(error, "expected_start", 0)) + 1
        raise InputError(
            f"line {line}: not SubRip: expected a number, a line such as 00:00:01,000 --> 00:00:02,000, and text"
        ) from error
    found, position = [], 0
    for content in contents:
        arrow = _ARROW.search(text, position)
        start = text.find("\n", arrow.end() if arrow else len(text)) + 1 or len(text)
        # The library returns contents with line feeds only.
        size = len(re.match(re.escape(content).replace("\\\n", r"\r?\n"), text[start:]).group())  # type: ignore[union-attr]
        found.append((start, start + size))
        position = start + size
    return found
