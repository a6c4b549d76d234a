"""Tokens to text as they come: whole characters only, and nothing of a text that ends the output."""

import codecs
from collections.abc import Sequence


class StreamedText:
    """A text that grows by the bytes of one token after the other.

    What may still become part of a character, or of a text that ends the output, is held back.

    Attributes:
      stopped: whether one of the texts that end the output has come.
    """

    def __init__(self, stop: Sequence[str] = ()):
        """Begins an empty text that ends where the first of the texts `stop` begins."""
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, piece: bytes) -> str:
        """Returns what is certain now, after the bytes of one more token."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """Returns what was held back: no more tokens come."""
        rest = self._take(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return rest

    def _take(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        found = [start for start in (text.find(stop) for stop in self._stop) if start >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        certain = len(text) - self._possible_start(text)
        self._held = text[certain:]
        return text[:certain]

    def _possible_start(self, text: str) -> int:
        """Returns how many of the last characters may be the start of a text that ends the output."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
