"""Draws people and things: noun phrases, names, pronouns."""

from dataclasses import replace
from functools import cache

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.lexicon import ADJECTIVES, BASE_NOUNS, CHILDREN, COMPOUNDS, FEMALE_NAMES, MALE_NAMES, OWN
from tfmr.data.corpora.grammar.meaning import (
    Adjective,
    Name,
    Noun,
    NounPhrase,
    Pair,
    Phrase,
    Preposition,
    Prepositional,
    Pronoun,
    Verb,
)

POSSESSIVES = ("my", "your", "his", "her", "our", "their")
PRONOUNS = ("I", "you", "he", "she", "we", "they")
WITH = Preposition("with", "mit", "dative")
# Attributes of a person or building: the man with the red hat, the house with the garden.
FEATURES = {"person": ("hat", "coat", "jacket", "umbrella", "bag"), "building": ("garden", "cellar", "park")}

COMPOUND_SHARE = 0.2
ADJECTIVE_SHARE = 0.36


@cache
def nouns_of(kinds: tuple[str, ...], *, compound: bool) -> tuple[Noun, ...]:
    """Returns the nouns of these kinds; a kind may also be a single English noun."""
    pool = COMPOUNDS if compound else BASE_NOUNS
    return tuple(noun for noun in pool if noun.kind in kinds or noun.english in kinds)


@cache
def adjectives_of(kind: str, *, comparable: bool = False) -> tuple[Adjective, ...]:
    """Returns the adjectives for nouns of a kind; if comparable, only those with a comparative."""
    fitting = [adjective for adjective in ADJECTIVES if kind in adjective.kinds]
    return tuple(adjective for adjective in fitting if adjective.english_comparative or not comparable)


def takes(verb: Verb, noun: Noun) -> bool:
    """Returns whether the noun can be an object of the verb."""
    return noun.kind in verb.kinds or noun.english in verb.kinds


def draw_noun(dice: Dice, kinds: tuple[str, ...], *, countable: bool = False) -> Noun:
    """Draws a noun of these kinds, sometimes a compound; if countable, not one such as milk."""
    compound = dice.chance(COMPOUND_SHARE)
    nouns = nouns_of(kinds, compound=compound) or nouns_of(kinds, compound=not compound)
    return dice.pick([noun for noun in nouns if noun.german_plural] if countable else nouns)


def draw_adjectives(dice: Dice, noun: Noun) -> tuple[Adjective, ...]:
    """Draws either no adjective or one that fits the noun."""
    fitting = adjectives_of(noun.kind)
    return (dice.pick(fitting),) if fitting and dice.chance(ADJECTIVE_SHARE) else ()


def draw_noun_phrase(
    dice: Dice, kinds: tuple[str, ...], *, definite: bool = False, simple: bool = False, countable: bool = False
) -> NounPhrase:
    """Draws a phrase with a noun of these kinds.

    It is something known (the, this, my) if definite, has no adjective, number or owner if simple, and is not
    something such as milk or rice if countable.
    """
    noun = draw_noun(dice, kinds, countable=countable)
    plural = bool(noun.german_plural) and dice.chance(0.25)
    determiner = dice.weighted(_determiners(noun, plural, definite, simple))
    part = NounPhrase(noun, plural=plural, adjectives=() if simple else draw_adjectives(dice, noun))
    if determiner == "number":
        return replace(part, count=draw_count(dice))
    if determiner == "owner":
        return replace(part, owner=draw_owner(dice))
    if determiner == "feature":
        return replace(part, determiner="the", attribute=_draw_feature(dice, noun))
    return replace(part, determiner=dice.pick(POSSESSIVES) if determiner == "possessive" else determiner)


@cache
def _determiners(noun: Noun, plural: bool, definite: bool, simple: bool) -> dict[str, int]:
    """Returns the determiners that the noun can have, with their weights."""
    weights = {"the": 36, "this": 6}
    if noun.kind not in ("person", "animal") or noun.english in OWN:
        weights |= {"possessive": 16} | ({} if simple else {"owner": 6})
    if not definite:
        bare = 60 if not noun.german_plural else 8 if noun.kind == "person" else 24
        weights |= {"": bare} if plural or not noun.german_plural else {"a": 30}
    if not definite and not simple:
        weights |= {"number": 24, "many": 6, "some": 5} if plural else {}
        weights |= {"every": 4} if not plural and noun.kind == "person" else {}
    if not simple and not plural and noun.kind in FEATURES:
        weights["feature"] = 5
    return weights


def draw_count(dice: Dice) -> int:
    """Draws a number of things: usually small, sometimes up to 999, never 1, 101, 201, ..."""
    count = 2 + dice.below(dice.weighted({11: 6, 98: 3, 998: 1}))
    return count if count % 100 != 1 else count + 1


def draw_owner(dice: Dice) -> NounPhrase | Name:
    """Draws an owner: Anna, the man, my mother."""
    if dice.chance(0.5):
        return draw_name(dice)
    noun = dice.pick(nouns_of(("person",), compound=False))
    return NounPhrase(noun, dice.pick(POSSESSIVES) if noun.english in OWN and dice.chance(0.5) else "the")


def _draw_feature(dice: Dice, noun: Noun) -> Prepositional:
    feature = draw_noun(dice, FEATURES[noun.kind])
    return Prepositional(WITH, NounPhrase(feature, dice.pick(("the", "a")), adjectives=draw_adjectives(dice, feature)))


def draw_name(dice: Dice) -> Name:
    """Draws a first name."""
    gender = dice.pick("mf")
    name = dice.pick(MALE_NAMES if gender == "m" else FEMALE_NAMES)
    return Name(name, name, gender)


def draw_person(dice: Dice, *, definite: bool = False, simple: bool = False, pronouns: bool = True) -> Phrase:
    """Draws a person: a name, a pronoun, a noun phrase, or two of them."""
    kind = dice.weighted({"noun": 57, "name": 18, "pronoun": 21 if pronouns else 0, "pair": 0 if simple else 4})
    if kind == "name":
        return draw_name(dice)
    if kind == "pronoun":
        return Pronoun(dice.pick(PRONOUNS))
    if kind == "noun":
        return draw_noun_phrase(dice, ("person",), definite=definite, simple=simple)
    first, second = (draw_noun_phrase(dice, ("person",), definite=True, simple=True) for _ in range(2))
    return Pair(first, second)


def draw_object(dice: Dice, kinds: tuple[str, ...], subject: Phrase, *, definite: bool, simple: bool) -> Phrase:
    """Draws an object of these kinds. People may be a name or a pronoun, but not the pronoun of the subject."""
    if kinds[0] != "person" or dice.chance(0.5):
        return draw_noun_phrase(dice, kinds, definite=definite, simple=simple)
    if dice.chance(0.5):
        return draw_person(dice, definite=definite, simple=True, pronouns=False)
    return Pronoun(dice.pick([word for word in PRONOUNS if word not in _reflexive(subject)]))


def _reflexive(subject: Phrase) -> tuple[str, ...]:
    """Returns the pronouns that would refer to the subject itself: I see me, we see me."""
    if not isinstance(subject, Pronoun):
        return ()
    return ("I", "we") if subject.english in ("I", "we") else (subject.english,)


def pronoun_for(person: Phrase) -> Pronoun | None:
    """Returns the pronoun that refers to this person; None if it is ambiguous in English (a child)."""
    if isinstance(person, Pronoun):
        return person
    if isinstance(person, Name):
        return Pronoun("he" if person.gender == "m" else "she")
    if person.agreement == "3p":
        return Pronoun("they")
    if isinstance(person, NounPhrase) and person.noun not in CHILDREN:
        return Pronoun("he" if person.noun.gender == "m" else "she")
    return None


def is_describable(part: NounPhrase) -> bool:
    """Returns whether "it" can refer to this phrase and be described by an adjective."""
    return part.noun.kind != "person" and bool(adjectives_of(part.noun.kind))


def it_for(thing: NounPhrase) -> Pronoun:
    """Returns the pronoun that refers to this thing; in German it has the gender of the noun."""
    return Pronoun("they") if thing.plural else Pronoun("it", thing.noun.gender)
