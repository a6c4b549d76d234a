"""Glossaries: which terms are found, how files are read, and that translations contain them."""

import dataclasses
import logging
import re
import unicodedata

import numpy as np
import pytest
from small_translators import make_translator

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.errors import InputError
from tfmr.translation import Glossary
from tfmr.translation.alignment import Alignment
from tfmr.translation.glossary import Use, UsedGlossary, WantedTerm, next_place
from tfmr.translation.rules import WordRules
from tfmr.translation.word_alignment import WordAttention, words_of

LETTERS = "abcdeABCDE "
LINES = ["abc de", "c", "dead bee", "bad cab de"]
BEAM = DecodingConfig(beam_size=3, extra_length=8, min_length=6, batch_size=4)


def glossary(*lines: str) -> Glossary:
    return Glossary.from_lines(lines)


def found(terms: Glossary, text: str) -> list[tuple[str, str]]:
    return [(term.targets[0], text[span.start : span.end]) for term, span in terms.uses_in(text)]


def test_terms_are_found_as_whole_words_in_any_case_the_longest_first():
    terms = glossary(
        "dog|dogs\tHund", "guard dog\tWachhund\ta note", "Apple\tApple Inc.", "犬\tdog", "C++\tC plus plus"
    )
    assert terms.terms[1].note == "a note"
    assert found(terms, "Dogs and a DOG, no dogma or hotdog.") == [("Hund", "Dogs"), ("Hund", "DOG")]
    assert found(terms, "The guard\n dog, the dog.") == [("Wachhund", "guard\n dog"), ("Hund", "dog")]
    assert found(terms, "An apple from Apple.") == [("Apple Inc.", "Apple")]
    assert found(terms, "大犬が") == [("dog", "犬")]
    assert found(terms, "C++ and C+") == [("C plus plus", "C++")]
    assert found(glossary(), "anything") == []
    decomposed = glossary(unicodedata.normalize("NFD", "Bär\tbear"))
    assert found(decomposed, "Ein Bär.") == [("bear", "Bär")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["dog"], r"glossary, line 1: has 1 fields; write source term, tab, target term"),
        (["", "a\tb\tc\td"], r"line 2: has 4 fields"),
        (["dog\t "], r"line 1: a term is empty"),
        (["a|\tb"], r"line 1: a term is empty"),
        (["dog\tHund", "dog\tRüde"], r"'dog' has two translations, 'Hund' and 'Rüde'; remove one, or write both"),
    ],
)
def test_wrong_glossaries_are_refused(lines, message):
    with pytest.raises(InputError, match=message):
        glossary(*lines)


def test_files_are_read(tmp_path):
    (tmp_path / "terms.tsv").write_text("\ufeffdog\tHund\r\ncat\tKatze\tsleeps\r\n", encoding="utf-8")
    assert [term.targets for term in Glossary.from_file(tmp_path / "terms.tsv").terms] == [("Hund",), ("Katze",)]
    with pytest.raises(InputError, match="no such file"):
        Glossary.from_file(tmp_path / "other.tsv")


@pytest.fixture(scope="module")
def translator():
    return make_translator(BEAM, LETTERS, num_decoder_layers=1)


@pytest.fixture(scope="module")
def plain(translator):
    return translator.translate(LINES)


def test_translations_contain_the_terms_of_their_own_lines(translator, plain):
    terms = glossary("de\tcab|deed", "bad cab|c\tee be")
    texts = translator.with_glossary(terms).translate(LINES)
    assert not any(re.search(r"(?i)\b(cab|deed|ee be)\b", text) for text in plain)
    for line, text, without in zip(LINES, texts, plain, strict=True):
        words = set(line.split())
        assert bool(re.search(r"\b[cC]ab\b|\b[dD]eed\b", text)) == ("de" in words)
        assert bool(re.search(r"\b[eE]e be\b", text)) == ("c" in words or "cab" in words)
        assert text == without or words & {"de", "c", "cab"}
    assert translator.translate(LINES) == plain


def test_terms_that_cannot_be_used_are_reported(translator, plain, caplog):
    terms = glossary("de\tKäse", "c\tbed", f"bee\t{'abcde ' * 20}")
    with caplog.at_level(logging.WARNING, "tfmr"):
        texts = translator.with_line_numbers([11, 12, 13, 14]).with_glossary(terms).translate(LINES)
    assert [text == without for text, without in zip(texts, plain, strict=True)] == [True, False, True, True]
    unwritable = "the glossary's term 'de' is not used: its translation 'Käse': cannot be written because the tokenizer"
    starts = [
        f"line 11: {unwritable} does not know 'K', 'ä', 's'",
        "line 13: the glossary's term 'bee' is not used: its 120 tokens do not fit into the output; raise",
        f"line 14: {unwritable}",
    ]
    for message, start in zip(caplog.messages, starts, strict=True):
        assert message.startswith(start)
    caplog.clear()
    config, tokenizer = dataclasses.replace(BEAM, forbidden=("bed",)), translator.tokenizer
    rules = WordRules(config, tokenizer, translator.model.config.vocab_size)
    assert UsedGlossary(terms, rules).uses_in("c", 50, 1) == []
    assert "line 1: the glossary's term 'c' is not used" in caplog.messages[0]
    assert "contains a word from decoding.forbidden" in caplog.messages[0]


def test_a_glossary_needs_a_search():
    config = DecodingConfig(beam_size=1, sampling=SamplingConfig(temperature=1.0))
    with pytest.raises(InputError, match=r"glossary: cannot be combined with decoding.sampling.temperature = 1.0"):
        make_translator(config, LETTERS, num_decoder_layers=1).with_glossary(glossary("a\tb"))


def test_a_term_replaces_the_word_that_attends_to_it(translator):
    rules = WordRules(BEAM, translator.tokenizer, translator.model.config.vocab_size)
    [entry] = glossary("bad cab\tdeed|bee").terms
    use = Use(WantedTerm(entry, rules), words_of("x bad")[1]._replace(start=2, end=9))
    weights = np.array([[0.9, 0.05, 0.05], [0.3, 0.2, 0.5], [0.1, 0.8, 0.1], [0.1, 0.5, 0.4]])
    source, target = "a bad cab", "Ab, dad ad."
    assert len(words_of(source)) == 3
    weights = np.insert(weights[:3], 1, [0, 1, 1], axis=0)  # the comma
    weights = np.vstack([weights, [0.2, 0.4, 0.4]])
    assert next_place([use], source, target, weights, 0) == (use, "Ab, deed")
    assert next_place([use], source, target, weights, 5) is None  # comes before what must stay
    assert next_place([use], source, "Ab, bee ad.", weights, 0) is None
    assert next_place([use], source, target, np.roll(weights, -2, axis=0), 0) == (use, "Deed")
    assert next_place([use], source, target, weights * 0, 0) is None
    assert next_place([use], source, "", weights[:0], 0) is None  # a translation without words


def test_the_attention_of_words_is_that_of_their_tokens(translator):
    source, target = "ab c", "d ea"
    [ids], [target_ids] = translator.tokenizer.encode_batch([source]), translator.tokenizer.encode_targets([target])
    draw = np.random.default_rng(0)
    tokens = draw.dirichlet(np.ones(len(ids) + 1), len(target_ids) + 1).astype(np.float32)
    alignment = Alignment([*ids, 3], [*target_ids, 3], tokens)
    found = WordAttention(translator.tokenizer)(alignment, source, target, words_of(source), words_of(target))
    letters = {letter: i for i, letter in enumerate(translator.tokenizer.token_texts(ids)) if letter.strip()}
    own = {letter: i for i, letter in enumerate(translator.tokenizer.token_texts(target_ids)) if letter.strip()}

    def of(row: str, column: str) -> float:
        return sum(tokens[own[x], letters[y]] for x in row for y in column)

    expected = np.array([[of("d", "ab"), of("d", "c")], [of("ea", "ab"), of("ea", "c")]])
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
