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


def _contents(text: str) -> list[tuple[int, int]]:
    """Returns the positions of the text of each cue."""
    import srt

    try:
        contents = [cue.content for cue in srt.parse(text)]
    except (srt.SRTParseError, srt.TimestampParseError, ValueError) as error:
        line = text.count("\n", 0, getattr(error, "expected_start", 0)) + 1
        raise InputError(
            f"line {line}: not SubRip: expected a number, a line such as 00:00:01,000 --> 00:00:02,000, and text"
        ) from error
    found, position = [], 0
    for content in contents:
        start = text.find("\n", text.index("-->", position)) + 1 or len(text)
        # The library returns contents with line feeds only.
        size = len(re.match(re.escape(content).replace("\\\n", r"\r?\n"), text[start:]).group())  # type: ignore[union-attr]
        found.append((start, start + size))
        position = start + size
    return found
