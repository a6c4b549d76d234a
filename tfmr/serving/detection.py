"""Detection of the language of a text, by the `py3langid` library."""

import copy
import functools
import importlib
import re
from collections.abc import Sequence
from typing import Any, TypedDict

_SAME_LANGUAGE = 4
"""The largest distance, in CLDR's measure, of two codes of one language: nb and no, tl and fil, quy and qu."""


class Detected(TypedDict):
    """A language that a text may have."""

    confidence: float
    """From 0 to 100. 0: unknown."""
    language: str


def detect(text: str, codes: Sequence[str]) -> list[Detected]:
    """Returns the languages of a text, most likely first, and otherwise in the given order.

    A language that the library does not know has the confidence 0, and so have all if the text has no letters. Codes
    of one language, such as zho_Hans and zho_Hant, have the same confidence.

    Args:
      text: the text.
      codes: the codes of the languages to choose from. If there is only one, it is the language of every text.
    """
    if len(codes) < 2:
        return [{"confidence": 100.0, "language": code} for code in codes]
    languages = {code: _known_language(code) for code in codes}
    known = tuple(sorted({language for language in languages.values() if language}))
    has_letters = any(map(str.isalpha, text))
    probabilities = dict(_identifier(known).rank(text)) if known and has_letters else {}
    ranked = sorted(codes, key=lambda code: -probabilities.get(languages[code], -1.0))
    return [
        {"confidence": round(100 * probabilities.get(languages[code], 0.0), 1), "language": code} for code in ranked
    ]


def detect_source(text: str, codes: Sequence[str], possible: Sequence[str]) -> Detected | None:
    """Returns the most likely language of a text of those that are possible; its confidence is that of `detect`.

    None: the library knows none of several languages, but the text has letters.
    """
    [best, *others] = [each for each in detect(text, codes) if each["language"] in possible]
    if others and any(map(str.isalpha, text)) and not any(map(_known_language, possible)):
        return None
    return best


@functools.cache
def _known_language(code: str) -> str:
    """Returns the library's code of a language that is given with or without a script or country; empty: unknown."""
    langcodes: Any = importlib.import_module("langcodes")
    first = re.split(r"[-_]", code)[0]
    try:
        return langcodes.closest_supported_match(first, _model().labels, max_distance=_SAME_LANGUAGE) or ""
    except ValueError:  # it is not a code
        return ""


@functools.lru_cache(8)
def _identifier(languages: tuple[str, ...]) -> Any:
    """Returns what chooses between some languages."""
    identifier = copy.copy(_model())
    identifier.set_languages(languages)
    return identifier


@functools.cache
def _model() -> Any:
    """Returns what chooses between all languages that the library knows. Reading it takes a second and 100 MB."""
    langid: Any = importlib.import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
