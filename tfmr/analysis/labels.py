"""Texts as labels of a picture: visible, whatever they are, and in a font that has their script."""

import unicodedata
from collections.abc import Iterable

DEFAULT_FONT = "DejaVu Sans"
# Has a glyph for every character, but it is a box that names the character's block.
LAST_RESORT = "Last Resort"
SPACE = "·"
LINE_FEED = "↵"


def visible_labels(labels: Iterable[str], longest: int = 20) -> tuple[list[str], list[str]]:
    """Returns the labels as they can be drawn, and the families of fonts that draw them.

    Spaces at the ends become `·`, a line feed `↵`, a combining mark at the start stands on `◌`, and a character that
    is invisible or that no installed font has is written as its code point, `U+4E2D`. What is longer than `longest`
    is cut.
    """
    labels = [_visible(label) for label in labels]
    families, missing = _families({character for label in labels for character in label})
    drawn = ("".join(_code_point(c) if c in missing else c for c in label) for label in labels)
    return [label if len(label) <= longest else label[: longest - 1] + "…" for label in drawn], families


def _visible(label: str) -> str:
    inner = label.strip(" ")
    start = label[: label.find(inner)] if inner else label
    end = label[len(start) + len(inner) :]
    categories = [unicodedata.category(c) for c in inner]
    # Format characters (Cf) join letters: they are kept among letters, but alone nobody would see them.
    invisible = ("Cc", "Cs", "Zl", "Zp") + (() if any(c[0] not in "CZ" for c in categories) else ("Cf", "Zs"))
    shown = "".join(
        _code_point(c) if category in invisible else c for c, category in zip(inner, categories, strict=True)
    )
    mark = "◌" if categories and categories[0][0] == "M" else ""
    return SPACE * len(start) + mark + shown + SPACE * len(end)


def _code_point(character: str) -> str:
    return LINE_FEED if character == "\n" else f"U+{ord(character):04X}"


def _families(characters: set[str]) -> tuple[list[str], set[str]]:
    """Returns font families that together have the characters, and the characters that no font has."""
    from matplotlib import font_manager

    families = [DEFAULT_FONT]
    missing = characters - _characters_of(font_manager.findfont(DEFAULT_FONT))
    for font in font_manager.fontManager.ttflist:
        if not missing:
            break
        if font.name.startswith(LAST_RESORT) or font.style != "normal":
            continue
        found = missing & _characters_of(font.fname)
        # By name, matplotlib may choose another file of the same family.
        if found and font_manager.findfont(font.name) == font.fname:
            families.append(font.name)
            missing -= found
    return families, missing


def _characters_of(file: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return {chr(code) for code in FT2Font(file).get_charmap()}
    except (OSError, RuntimeError):
        return set()
