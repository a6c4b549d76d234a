"""Labels show every token, in a font that can."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from tfmr.analysis.labels import DEFAULT_FONT, visible_labels

DEFAULT_CHARACTERS = {chr(code) for code in FT2Font(font_manager.findfont(DEFAULT_FONT)).get_charmap()}


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("dog", "dog"),
        (" dog", "·dog"),
        ("  two  ", "··two··"),
        ("a b", "a b"),
        (" ", "·"),
        ("", ""),
        ("\n", "↵"),
        ("\r", "U+000D"),
        ("a\tb", "aU+0009b"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("\u200d", "U+200D"),
        ("\u00a0", "U+00A0"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u0378", "U+0378"),
        ("\ud800", "U+D800"),
        ("x" * 30, "x" * 19 + "…"),
    ],
)
def test_a_label_is_shown_as(label, shown):
    assert visible_labels([label])[0] == [shown]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=5), max_size=5))
def test_some_named_font_has_every_character(labels):
    shown, families = visible_labels(labels)
    assert len(shown) == len(labels)
    files = [font_manager.findfont(family) for family in families]
    known = set().union(*({chr(code) for code in FT2Font(file).get_charmap()} for file in files))
    assert {character for label in shown for character in label} <= known
    assert not any("Last Resort" in family for family in families)


def test_another_installed_font_is_found_where_the_default_lacks_a_character():
    others = {
        chr(code)
        for font in font_manager.fontManager.ttflist
        if font.name == "STIXNonUnicode"
        for code in FT2Font(font.fname).get_charmap()
    }
    character = min(c for c in others - DEFAULT_CHARACTERS if c.isprintable() or "\ue000" <= c <= "\uf8ff")
    shown, families = visible_labels(["x" + character])
    assert shown == ["x" + character]
    assert len(families) == 2
