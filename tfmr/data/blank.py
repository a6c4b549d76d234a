"""Lines without any visible character."""

import re

# White space, control characters, and the characters with the Unicode property Default_Ignorable_Code_Point, such as
# the soft hyphen, zero-width spaces and joiners, direction marks, variation selectors and the byte order mark.
_INVISIBLE = re.compile(
    "[\\s\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f"
    "\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]*"
)


def is_blank(text: str) -> bool:
    """Returns whether a text has no visible character."""
    return _INVISIBLE.fullmatch(text) is not None


def has_blank_side(pair: tuple[str, str]) -> bool:
    """Returns whether a side of a sentence pair is blank, so that training leaves the pair out."""
    return is_blank(pair[0]) or is_blank(pair[1])
