"""Incremental decoding of tokens to text, up to a stop text."""

import codecs
from collections.abc import Sequence


class StreamedText:
    """A text to which the bytes of one token after another are added.

    It holds back bytes that are an incomplete character, and characters that may be the beginning of a stop text.

    Attributes:
      stopped: whether the text has reached a stop text.
    """

    def __init__(self, stop: Sequence[str] = ()):
        """Creates an empty text that ends before the first occurrence of a text in `stop`."""
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, piece: bytes) -> str:
        """Adds the bytes of a token; returns the text that is now final."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """Ends the text; returns the rest of it."""
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
        """Returns how many of the last characters may be the beginning of a stop text."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
