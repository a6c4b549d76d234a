"""The one exception for what a user got wrong."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A mistake in what the user gave: a key, a value, a file, a folder.

    The message is one line that names the thing, the value and the fix. The
    commands print it without a traceback and exit with status 2.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `` (did you mean 'x'?)`` for the known name most like `name`, else ''."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
