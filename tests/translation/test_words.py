"""The tables that find words in text that comes token by token, against regular expressions and the plain text."""

import itertools
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.translation.rules import WordRules, encode_prefix
from tfmr.translation.words import suggested_tokens, token_progress, word_table

LETTERS = "ab é犬,"
WORDS = ["a", "ab", "aba", "ab a", "é", "bé", "犬", "a犬", ",", "a,"]


def pieces_of(texts):
    """A vocabulary of the marks and these pieces."""
    return [b"", b"<unk>", b"", b"", *texts]


def stands_in(word: str, text: str) -> bool:
    """Whether a word stands in a text, not inside a longer word of letters that are written together."""
    together = r"[ab\u00e9]"  # of LETTERS, those of a script with spaces between words
    before = rf"(?<!{together})" if re.match(together, word) else ""
    after = rf"(?!{together})" if re.match(together, word[-1]) else ""
    return re.search(before + re.escape(word) + after, text) is not None


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(LETTERS, max_size=12),
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
    data=st.data(),
)
def test_a_word_is_found_however_the_text_is_cut(text, words, data):
    content = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)), max_size=5)) | {0, len(content)})
    parts = [content[a:b] for a, b in itertools.pairwise(cuts)]
    table = word_table(words, pieces_of(parts))
    state = table.walk(range(4, 4 + len(parts)))
    assert bool(table.at_end[state]) == any(stands_in(word, text) for word in words)


def test_a_word_stays_found():
    table = word_table(["ab"], pieces_of([b" ab", b" ", b"a"]))
    assert not table.at_end[table.walk([6])]
    assert table.at_end[table.walk([4])]  # if the text ends here
    assert not table.at_end[table.walk([4, 6])]  # "aba"
    assert table.walk([4, 5, 6, 6]) == table.found == table.walk([4, EOS_ID, 6])


def test_suggestions_lead_to_the_word_and_progress_counts_them():
    tokens = [4, 5, 6]
    pieces = pieces_of([b" du", b"ck", b"s", b" go", b"u", b" "])
    table = word_table(["ducks"], pieces)
    suggested, progress = suggested_tokens(table, [tokens], space=9), token_progress(table, [tokens])
    for start in ([], [7], [8], [4], [4, 8], [4, 5, 7]):  # what was written before may be anything
        state, seen = table.walk(start), []
        while not table.at_end[state]:
            seen.append(int(suggested[state]))
            state = table.walk([seen[-1]], state)
        assert seen[-1] == 6
        assert progress[state] == 3
    assert [int(progress[table.walk(tokens[:n])]) for n in range(4)] == [0, 1, 2, 3]
    assert suggested[table.walk(tokens)] == -1


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_a_tokenizers_pieces_spell_what_it_decodes(kind):
    lines = ["the dogs bark at the trees", "a dog barks", "über Bäume, 犬 und 2 mehr"]
    tokenizer = Tokenizer.train(kind, lines * 3, 400)
    pieces = tokenizer.pieces()
    assert len(pieces) == tokenizer.vocab_size
    for line in lines:
        spelled = b"".join(pieces[token] for token in tokenizer.encode(line)).decode()
        assert spelled.removeprefix(" ") == line == tokenizer.decode(tokenizer.encode(line))
    table = word_table(["dog"], pieces)
    found = [bool(table.at_end[table.walk(tokenizer.encode(line))]) for line in lines]
    assert found == [False, True, False]
    assert np.asarray(table.next_state).max() == table.found


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_and_prefixes_are_read_in_any_unicode_form(form: str):
    def written(text: str) -> str:
        return unicodedata.normalize(form, text)

    tokenizer = Tokenizer.train("characters", ["äbö "], 20)
    config = DecodingConfig(forbidden=(written("öb"),), required=(written("ä"),))
    rules = WordRules(config, tokenizer, tokenizer.vocab_size)
    assert [rules.forbids(tokenizer.encode(text)) for text in ("ä öb", "ä öbä")] == [True, False]
    expected = WordRules(DecodingConfig(required=("\u00e4",)), tokenizer, tokenizer.vocab_size)
    [word], [expected_word] = rules.required, expected.required
    assert (word.next_state == expected_word.next_state).all()
    assert (word.classes == expected_word.classes).all()
    assert encode_prefix(written("bäö"), tokenizer, rules, 1) == tokenizer.encode("b\u00e4\u00f6")
    assert encode_prefix("\u200b", tokenizer, rules, 1) == []
    with pytest.raises(InputError, match=r"decoding.forbidden: the tokenizer cannot write '\\ufeff'"):
        WordRules(DecodingConfig(forbidden=("\ufeff",)), tokenizer, tokenizer.vocab_size)
