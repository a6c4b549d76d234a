"""Labels for plots: any text becomes visible, in a font that has its script."""

import os
import unicodedata
from collections.abc import Iterable

DEFAULT_FONT = "DejaVu Sans"
# A font whose glyph for every character is a box with the name of its Unicode block.
LAST_RESORT = "Last Resort"
SPACE = "·"
LINE_FEED = "↵"


def visible_labels(labels: Iterable[str], longest: int = 20) -> tuple[list[str], list[str]]:
    """Returns the labels in visible form, and the font families that can draw them.

    Spaces at either end become `·`, line feeds become `↵`, and a combining mark at the start is put on `◌`. Characters
    that are invisible or missing from all installed fonts become their code points, such as `U+4E2D`. Labels longer
    than `longest` characters are truncated.
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
    # Format characters (Cf) join letters: they are kept between letters, but would be invisible alone.
    invisible = ("Cc", "Cs", "Zl", "Zp") + (() if any(c[0] not in "CZ" for c in categories) else ("Cf", "Zs"))
    shown = "".join(
        _code_point(c) if category in invisible else c for c, category in zip(inner, categories, strict=True)
    )
    base = "◌" if categories and categories[0][0] == "M" else ""
    return SPACE * len(start) + base + shown + SPACE * len(end)


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
        # Matplotlib may choose another file of the same family by its name, and resolves links.
        if found and font_manager.findfont(font.name) == os.path.realpath(font.fname):
            families.append(font.name)
            missing -= found
    return families, missing


def _characters_of(file: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return {chr(code) for code in FT2Font(file).get_charmap()}
    except (OSError, RuntimeError):
        return set()
