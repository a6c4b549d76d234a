"""What holds of every sentence of the built-in corpus, and of its splits."""

import ast
import hashlib
import os
import re
import subprocess
import sys

import pytest

from tfmr.data.corpora import grammar
from tfmr.data.corpora.grammar import sentence_pairs
from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_sentences import draw_sentence
from tfmr.data.corpora.grammar.english import english
from tfmr.data.corpora.grammar.german import german
from tfmr.errors import InputError


@pytest.fixture(scope="module")
def pairs():
    return sentence_pairs("train", 10_000)


def test_the_same_everywhere():
    """Other processes, in which Python hashes strings differently, draw the same sentences."""
    program = "from tfmr.data.corpora.grammar import sentence_pairs; print(ascii(sentence_pairs('test', 20, 3)))"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        printed = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert ast.literal_eval(printed.stdout.decode()) == sentence_pairs("test", 20, 3)


def test_a_changed_sentence_needs_a_changed_version():
    """Prepared corpora are found again by VERSION: whoever changes a sentence changes it, and this digest."""
    text = "".join(map(str, sentence_pairs("train", 2000)))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert (grammar.VERSION, digest) == ("1.0.0", "55400d6942193312")


def test_a_larger_corpus_begins_with_the_smaller_one(pairs):
    assert sentence_pairs("train", 500) == pairs[:500]
    assert sentence_pairs("train", 0) == []


def test_another_seed_gives_other_sentences(pairs):
    assert sentence_pairs("train", 50, 1) != pairs[:50]


def test_no_sentence_twice_and_none_in_two_splits(pairs):
    train = {source for source, _ in pairs}
    assert len(train) == len(pairs)
    validation, test = ({source for source, _ in sentence_pairs(split, 500)} for split in ("validation", "test"))
    assert len(validation) == len(test) == 500
    assert not train & validation
    assert not train & test
    assert not validation & test
    # Not by chance: every sentence, whatever the sizes and seeds, belongs to one split.
    assert {grammar.split_of(source) for source in train} == {"train"}
    assert {grammar.split_of(source) for source, _ in sentence_pairs("test", 100, 1)} == {"test"}


def test_an_english_sentence_has_one_german_one():
    dice, translations = Dice(5), {}
    for _ in range(50_000):
        sentence = draw_sentence(dice)
        source, target = english(sentence), german(sentence)
        assert translations.setdefault(source, target) == target, source
    assert len(translations) < 50_000  # some were drawn more than once


def test_every_noun_has_one_article(pairs):
    articles: dict[str, set[str]] = {}
    for _, target in pairs:
        match = re.match(r"(Der|Die|Das) ([A-ZÄÖÜ]\w+) (?:ist|war) ", target)
        if match:
            articles.setdefault(match[2], set()).add(match[1])
    assert len(articles) > 100
    assert all(len(found) == 1 for found in articles.values())


def test_spelling_and_punctuation(pairs):
    for source, target in pairs:
        assert re.fullmatch(r"[A-Z][A-Za-z' ,-]*[.?]", source), source
        assert re.fullmatch(r"[A-ZÄÖÜ][A-Za-zÄÖÜäöüß ,]*[.?]", target), target
        assert source[-1] == target[-1]
        assert not re.search(r"  | [,.?]|,[^ ]|, *[,.?]", source + " " + target), (source, target)


def test_dependent_clauses_end_with_a_verb(pairs):
    """After a conjunction, the last word before the next mark is no noun: those are written with a capital."""
    found = 0
    for _, target in pairs:
        for clause in re.findall(r"\b(?:weil|obwohl|dass|ob|wenn|bevor|während) ([^,.?]+)[,.?]", target):
            found += 1
            assert clause.split()[-1].islower(), target
    assert found > 1500


def test_a_comma_stands_before_every_conjunction(pairs):
    for _, target in pairs:
        assert not re.search(r"[^,] (?:weil|obwohl|dass|ob|wenn|bevor|während|aber) ", target), target


SHARES = {
    "question": (r"\?$", 0.12),
    "question word": (r"^(Wer|Wen|Wem|Was|Wann|Warum|Wo|Wohin|Welche[rsnm]?|Wie viele) .*\?$", 0.05),
    "request": (r" bitte ", 0.02),
    "dependent clause": (r"(^|, )(weil|obwohl|dass|ob|wenn|bevor|während) ", 0.15),
    "dependent clause first": (r"^(Weil|Obwohl|Wenn|Bevor|Während) ", 0.02),
    "relative clause": (r", ((mit|an|von|auf|über) )?(der|die|das|den|dem|denen) ", 0.05),
    "infinitive with zu": (r", .*(\bzu |[a-zäöü]zu)\w+en[,.]", 0.04),
    "separated prefix": (r" (an|ein|ab|mit|auf|zu|aus|weg|zurück)[.?,]", 0.05),
    "perfect": (r" (ha(be|st|t|ben)|bin|bist|ist|sind) .*\b\w*ge\w+(t|en)\b", 0.12),
    "passive": (r"\bwurden? |\bworden\b| werden\.|wird .* ge\w+ werden", 0.02),
    "future": (r"\b(werde|wirst|wird|werden) ", 0.10),
    "modal verb": (r"\b([Kk]ann|[Mm]uss|[Ww]ill|[Dd]arf|[Mm]öchte|[Ss]ollte|[Ww]ollte|[Mm]usste|[Dd]urfte)", 0.05),
    "negation": (r"\b(nicht|kein\w*)\b", 0.06),
    "time first": (r"^(Gestern|Heute|Morgen|Am|Um|Vor|In|Im|Jede\w*|Letzte\w*|Nächste\w*|Jetzt) ", 0.05),
    "genitive": (r" des \w+s | der \w+s? |\b(Anna|Peter|Maria|Paul|Lisa|David)s ", 0.05),
    "like: dative": (r"gef(ä|a)ll", 0.02),
    "number word": (r"(zehn|zig|ßig|hundert|und(zwanzig|vierzig))", 0.02),
    "compound": (r"\b[A-Z]\w+(saft|kuchen|suppe|salat|tisch|lehrer|student|buch|flasche|glas|tasche|museum|tür)", 0.08),
}


@pytest.mark.parametrize("construction", SHARES)
def test_every_construction_has_its_share(construction, pairs):
    pattern, least = SHARES[construction]
    share = sum(re.search(pattern, target) is not None for _, target in pairs) / len(pairs)
    assert least <= share <= 0.5


def test_sentences_are_neither_long_nor_short(pairs):
    lengths = [len(source.split()) for source, _ in pairs]
    assert 8.5 <= sum(lengths) / len(lengths) <= 10.5
    assert max(lengths) <= 30


@pytest.mark.parametrize(
    ("split", "size", "named"),
    [("trian", 5, "did you mean 'train'"), ("test", -1, "-1"), ("train", 10**12, "1000000000000")],
)
def test_mistakes_are_named(split, size, named):
    with pytest.raises(InputError, match=named) as error:
        sentence_pairs(split, size)
    assert "\n" not in str(error.value)
