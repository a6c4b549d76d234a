"""Checks of single lines and pairs of lines for what is often wrong with a corpus."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

LINE_CHECKS: dict[str, Callable[[str], object]] = {
    # Tabs are allowed. The invisible characters are soft hyphens, zero-width spaces, byte order marks, separators of
    # lines and paragraphs, and marks that set the direction of writing.
    "control or invisible characters": re.compile(
        "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u00ad\\u200b\\u2028-\\u202e\\u2060\\u2066-\\u2069\\ufeff]"
    ).search,
    "U+FFFD, where bytes could not be decoded": re.compile("\ufffd").search,
    # What UTF-8 looks like if it is read as Latin-1 or Windows-1252, such as \xc3\xbc for \xfc.
    "mojibake": re.compile(
        "[\u00c2\u00c3\u00d0\u00d1][\\x80-\\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc]"
        "|\u00e2\u20ac[\\x80-\\xbf\u0153\u2122\u02dc\u00a6\u201c\u201d]"
    ).search,
    "HTML markup": re.compile(r"</?[a-zA-Z][^<>]{0,200}>|&(?:[a-zA-Z]{2,8}|#\d{1,7}|#x[0-9a-fA-F]{1,6});").search,
    "a URL": re.compile(r"https?://|www\.\w").search,
}
"""What a line may contain, and whether it does."""

_NUMBER = re.compile(r"\d{1,18}")
_THOUSANDS = re.compile(r"(?<=\d)[.,'\u2019 \u00a0\u202f](?=\d{3}(?!\d))")

_SCRIPTS = re.compile(
    "ARABIC|ARMENIAN|BENGALI|CYRILLIC|DEVANAGARI|ETHIOPIC|GEORGIAN|GREEK|GUJARATI|GURMUKHI|HANGUL|HEBREW|KANNADA|KHMER|"
    "LAO|LATIN|MALAYALAM|MONGOLIAN|MYANMAR|SINHALA|TAMIL|TELUGU|THAI|TIBETAN"
)
"""The first words of the Unicode names of letters that are the name of a script."""
_TOGETHER: dict[str, str] = dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"), "Chinese or Japanese")
"""Scripts that are used together."""


class _ScriptOfCharacter(dict[str, str]):
    """The script of each character; empty if it is not a letter of a known script."""

    def __missing__(self, character: str) -> str:
        word = unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""
        self[character] = word.capitalize() if _SCRIPTS.fullmatch(word) else _TOGETHER.get(word, "")
        return self[character]


_script_of = _ScriptOfCharacter()
_ASCII_LETTER = re.compile("[a-zA-Z]")


def scripts_of(line: str) -> set[str]:
    """Returns the scripts of the letters of a line."""
    if line.isascii():
        return {"Latin"} if _ASCII_LETTER.search(line) else set()
    return {_script_of[character] for character in set(line)} - {""}


def main_script(lines: Iterable[str]) -> str:
    """Returns the script of which most lines have letters; empty if there are no letters."""
    counts = Counter(script for line in lines for script in scripts_of(line))
    return max(counts, key=lambda script: counts[script], default="")


def letters_not_of(script: str) -> str:
    """Returns what a line has if it has letters of other scripts than the main one."""
    return f"letters that are not {script}, unlike most lines" if script else "letters, unlike most lines"


def numbers_differ(source: str, target: str) -> bool:
    """Returns whether both lines have numbers in digits, but not the same ones, in whatever order and with whatever
    separators of thousands."""
    numbers = [sorted(map(int, _NUMBER.findall(_THOUSANDS.sub("", line)))) for line in (source, target)]
    return all(numbers) and numbers[0] != numbers[1]
