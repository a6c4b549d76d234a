"""Draws the parts of a clause at random: noun phrases, times, places."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

from tfmr.data.corpora.grammar import lexicon_adjectives, lexicon_compounds, lexicon_nouns
from tfmr.data.corpora.grammar.entries import Adjective, Noun, Preposition
from tfmr.data.corpora.grammar.meaning import Fixed, Name, NounPhrase, Pair, Phrase, Prepositional, Pronoun
from tfmr.data.corpora.grammar.numbers import (
    clock,
    english_number,
    english_year,
    german_number,
    german_year,
)

T = TypeVar("T")

POSSESSIVES = ("my", "your", "his", "her", "our", "their")
IN = Preposition("in", "in", "dative")
INTO = Preposition("into", "in", "accusative")
TO = Preposition("to", "zu", "dative")
BY = Preposition("by", "von", "dative")
# English and German of the two-way prepositions; the verb decides the case.
TWO_WAY = (("on", "auf"), ("under", "unter"), ("next to", "neben"), ("behind", "hinter"), ("in front of", "vor"))

HABITS = [
    Fixed("often", "oft", middle=True),
    Fixed("always", "immer", middle=True),
    Fixed("sometimes", "manchmal", middle=True),
    Fixed("usually", "meistens", middle=True),
    Fixed("every day", "jeden Tag"),
    Fixed("every morning", "jeden Morgen"),
    Fixed("every week", "jede Woche"),
    Fixed("on Mondays", "montags"),
    Fixed("in the evening", "am Abend"),
    Fixed("in summer", "im Sommer"),
]
NOW = [Fixed("now", "jetzt"), Fixed("today", "heute"), Fixed("at the moment", "im Moment")]
RECENT = [Fixed("already", "schon", middle=True), Fixed("just", "gerade", middle=True)]
PAST = [
    Fixed("yesterday", "gestern"),
    Fixed("last week", "letzte Woche"),
    Fixed("last year", "letztes Jahr"),
    Fixed("this morning", "heute Morgen"),
    Fixed("on Sunday", "am Sonntag"),
]
FUTURE = [
    Fixed("tomorrow", "morgen"),
    Fixed("next week", "nächste Woche"),
    Fixed("next year", "nächstes Jahr"),
    Fixed("soon", "bald"),
    Fixed("on Friday", "am Freitag"),
]
# English plural, German nominative singular is not needed: German takes the dative plural after vor and in.
UNITS = (("days", "Tagen"), ("weeks", "Wochen"), ("months", "Monaten"), ("years", "Jahren"))


class Dice:
    """Random choices that are the same in every version of Python: only `random()` of an integer seed is."""

    def __init__(self, seed: int):
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        """Returns a number from 0 to n - 1."""
        return int(self._random() * n)

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, all alike likely."""
        return options[self.below(len(options))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """Returns one of the keys, as likely as its share of the weights."""
        point = self._random() * sum(weights.values())
        for option, weight in weights.items():
            point -= weight
            if point < 0:
                return option
        return option


@cache
def nouns_of(kinds: tuple[str, ...], compound: bool) -> tuple[Noun, ...]:
    """Returns the nouns of these kinds (a kind may also be one English noun)."""
    pool = lexicon_compounds.COMPOUNDS if compound else lexicon_nouns.BASE_NOUNS
    return tuple(noun for noun in pool if noun.kind in kinds or noun.english in kinds)


@cache
def adjectives_of(kind: str, comparable: bool = False) -> tuple[Adjective, ...]:
    """Returns the adjectives that go with nouns of a kind; comparable: only those with a comparative."""
    return tuple(
        adjective
        for adjective in lexicon_adjectives.ADJECTIVES
        if kind in adjective.kinds and (adjective.english_comparative or not comparable)
    )


def draw_noun(dice: Dice, kinds: tuple[str, ...]) -> Noun:
    """Draws a noun of these kinds, one in five a compound."""
    compound = dice.chance(0.2) and bool(nouns_of(kinds, True))
    return dice.pick(nouns_of(kinds, compound) or nouns_of(kinds, True))


def draw_count(dice: Dice) -> int:
    """Draws a number of things: mostly a few, at times up to 999 (never one, nor 101, 201, ...)."""
    top = dice.weighted({12: 6, 100: 3, 1000: 2})
    count = 2 + dice.below(top - 2)
    return count if count % 100 != 1 else count + 1


def draw_noun_phrase(
    dice: Dice, kinds: tuple[str, ...], *, definite: bool = False, simple: bool = False, countable: bool = False
) -> NounPhrase:
    """Draws a phrase with a noun of these kinds.

    definite: known things only (the, this, my); simple: no adjective, number or
    owner; countable: neither milk nor rice.
    """
    noun = draw_noun(dice, kinds)
    if countable and not noun.german_plural:
        noun = dice.pick([noun for noun in nouns_of(kinds, False) if noun.german_plural])
    plural = bool(noun.german_plural) and dice.chance(0.25)
    determiner, count, owner = _draw_determiner(dice, noun, plural, definite, simple)
    adjectives: tuple[Adjective, ...] = ()
    if not simple and adjectives_of(noun.kind) and dice.chance(0.3):
        adjectives = (dice.pick(adjectives_of(noun.kind)),)
    return NounPhrase(noun, determiner, plural, adjectives, count, owner)


def _draw_determiner(
    dice: Dice, noun: Noun, plural: bool, definite: bool, simple: bool
) -> tuple[str, int, NounPhrase | Name | None]:
    weights = {"the": 36.0, "possessive": 16.0, "this": 6.0}
    if not simple:
        weights["owner"] = 6.0
    if not definite:
        if not noun.german_plural:
            weights[""] = 60.0
        elif plural:
            weights.update({"": 22.0, "many": 6.0, "some": 5.0} | ({} if simple else {"number": 26.0}))
        else:
            weights["a"] = 30.0
    determiner = dice.weighted(weights)
    if determiner == "possessive":
        return dice.pick(POSSESSIVES), 0, None
    if determiner == "number":
        return "", draw_count(dice), None
    if determiner == "owner":
        return "", 0, draw_owner(dice)
    return determiner, 0, None


def draw_owner(dice: Dice) -> NounPhrase | Name:
    """Draws who something belongs to: Anna, or the man, my mother."""
    if dice.chance(0.5):
        return draw_name(dice)
    noun = dice.pick(nouns_of(("person",), False))
    return NounPhrase(noun, dice.pick(("the", "the", *POSSESSIVES)))


def draw_name(dice: Dice) -> Name:
    """Draws a first name."""
    gender = dice.pick("mf")
    name = dice.pick(lexicon_nouns.MALE_NAMES if gender == "m" else lexicon_nouns.FEMALE_NAMES)
    return Name(name, name, gender)


def draw_person(dice: Dice, *, definite: bool = False, simple: bool = False, pronouns: bool = True) -> Phrase:
    """Draws somebody: a name, a pronoun, a noun phrase, or two of them."""
    kind = dice.weighted({"noun": 56, "name": 18, "pronoun": 22 if pronouns else 0, "pair": 0 if simple else 4})
    if kind == "name":
        return draw_name(dice)
    if kind == "pronoun":
        return Pronoun(dice.pick(("I", "you", "he", "she", "we", "they")))
    if kind == "pair":
        first = draw_noun_phrase(dice, ("person",), definite=True, simple=True)
        return Pair(first, draw_noun_phrase(dice, ("person",), definite=True, simple=True))
    return draw_noun_phrase(dice, ("person",), definite=definite, simple=simple)


def draw_time(dice: Dice, tense: str, *, negated: bool = False) -> Fixed | None:
    """Draws a time that goes with the tense; None where none fits."""
    if tense == "present":
        return None if negated else dice.pick(HABITS)
    if tense == "perfect":
        return None if negated else dice.pick(RECENT)
    if tense == "progressive":
        return dice.pick(NOW)
    if dice.chance(0.15):
        return _draw_span(dice, tense)
    if tense == "past":
        return _draw_year(dice) if dice.chance(0.1) else dice.pick(PAST)
    if dice.chance(0.25):
        english, german = clock(1 + dice.below(12), dice.below(4))
        return Fixed(english, german)
    return dice.pick(FUTURE)


def _draw_span(dice: Dice, tense: str) -> Fixed:
    """Draws three days ago or in three days."""
    unit_en, unit_de = dice.pick(UNITS)
    count = 2 + dice.below(29)
    count += count % 100 == 1
    english, german = english_number(count), german_number(count)
    if tense == "past":
        return Fixed(f"{english} {unit_en} ago", f"vor {german} {unit_de}")
    return Fixed(f"in {english} {unit_en}", f"in {german} {unit_de}")


def _draw_year(dice: Dice) -> Fixed:
    year = 1900 + dice.below(125)
    return Fixed(f"in the year {english_year(year)}", f"im Jahr {german_year(year)}")


def draw_place(dice: Dice) -> Prepositional | Fixed:
    """Draws where something happens (in takes the dative)."""
    if dice.chance(0.12):
        return Fixed("at home", "zu Hause")
    return Prepositional(IN, draw_location(dice, ("room", "building", "garden", "park")))


def draw_location(dice: Dice, kinds: tuple[str, ...]) -> NounPhrase:
    """Draws a phrase for a place: the, a or my, singular, seldom with an adjective."""
    noun = draw_noun(dice, kinds)
    determiner = dice.weighted({"the": 6, "a": 2, "possessive": 1})
    determiner = dice.pick(POSSESSIVES) if determiner == "possessive" else determiner
    adjectives = (dice.pick(adjectives_of(noun.kind)),) if dice.chance(0.2) else ()
    return NounPhrase(noun, determiner, adjectives=adjectives)


def draw_direction(dice: Dice) -> Prepositional | Fixed:
    """Draws where somebody goes: into takes the accusative, to the dative."""
    kind = dice.weighted({"into": 4, "to": 4, "home": 1})
    if kind == "home":
        return Fixed("home", "nach Hause")
    if kind == "to":
        return Prepositional(TO, draw_location(dice, ("building", "doctor", "king", "queen", "friend")))
    return Prepositional(INTO, draw_location(dice, ("room", "building", "outdoors")))


def draw_city(dice: Dice) -> Prepositional:
    """Draws a city or country to travel to, with nach."""
    return Prepositional(Preposition("to", "nach", "dative"), Name(*dice.pick(lexicon_nouns.CITIES)))


def draw_spot(dice: Dice, case: str) -> Prepositional:
    """Draws on, under, behind, ... a piece of furniture: dative for where it is, accusative for where it is put."""
    english, german = dice.pick(TWO_WAY)
    return Prepositional(Preposition(english, german, case), draw_location(dice, ("furniture",)))
