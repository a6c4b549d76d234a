"""Which texts have no visible character: a table of Unicode says so."""

import unicodedata

from tokenizers import Regex
from tokenizers.normalizers import Replace

from tfmr.data.blank import is_blank


def test_unicode_says_which_characters_are_invisible():
    invisible = Replace(Regex(r"[\p{Default_Ignorable_Code_Point}\p{White_Space}\p{Cc}]"), "")
    # The planes of scripts, of symbols and of tags; the other ones have ideographs or nothing.
    for start in (*range(0, 0x20000, 0x800), *range(0xE0000, 0xE1800, 0x800)):
        if start == 0xD800:
            continue  # surrogates
        characters = list(map(chr, range(start, start + 0x800)))
        visible = invisible.normalize_str("".join(characters))
        assert "".join(character for character in characters if not is_blank(character)) == visible


def test_a_text_is_blank_if_all_of_it_is():
    assert all(map(is_blank, ("", " \t", "\u200b\u200d", "\ufeff", "\u00ad \u2060\r", "\u3164\ufe0f")))
    assert not any(map(is_blank, ("a\u200b", "\u200ba", "\u0301", "👩\u200d👩", "\u0600", ".")))
    assert unicodedata.category("\u0600") == "Cf"  # a visible sign although it is a format character
