"""Draws clauses about states: quality, comparison, place, price, age."""

from dataclasses import replace

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_adverbials import IN, draw_location, draw_spot
from tfmr.data.corpora.grammar.draw_phrases import adjectives_of, draw_name, draw_noun_phrase, draw_person
from tfmr.data.corpora.grammar.lexicon import BE, CHILDREN, EXIST, VERBS
from tfmr.data.corpora.grammar.meaning import Clause, Comparison, Fixed, NounPhrase, Phrase, Prepositional, Pronoun
from tfmr.data.corpora.grammar.numbers import english_number, german_number

DESCRIBED = ("person", "animal", "vehicle", "building", "text", "clothes", "furniture", "thing", "room", "cooked")
PRICED = ("thing", "device", "clothes", "furniture", "container")
# Things and the places where "there is" one.
FOUND = (
    (("building", "park", "garden"), ("city", "village")),
    (("furniture", "device"), ("room",)),
    (("student", "doctor", "cook", "waitress", "police officer"), ("building",)),
)
DEGREES = (("", ""), ("very ", "sehr "))
TOO = ("too ", "zu ")


def draw_description(dice: Dice, subject: Phrase | None = None, kind: str = "", tense: str = "") -> Clause:
    """Draws "the house is very old" or "the man is older than the woman"; `kind` is that of a given subject."""
    if subject is None:
        subject = draw_noun_phrase(dice, (dice.pick(DESCRIBED),), definite=True)
        kind, subject = subject.noun.kind, replace(subject, adjectives=())
    negated = dice.chance(0.15)
    if kind != "mood" and adjectives_of(kind, comparable=True) and dice.chance(0.25):
        complement = _draw_comparison(dice, subject, kind)
    else:
        # Things can be too old or too expensive; people are not too tired.
        complement = _draw_quality(dice, kind, DEGREES if negated or kind in ("mood", "person") else (*DEGREES, TOO))
    tense = tense or dice.weighted({"present": 6, "past": 3})
    return Clause(subject, BE, tense, complement=complement, negated=negated)


def _draw_quality(dice: Dice, kind: str, degrees: tuple[tuple[str, str], ...]) -> Fixed:
    """Draws "old", "very old" or "too old"; adjectives without a comparative, such as black, have no degrees."""
    adjective = dice.pick(adjectives_of(kind))
    english, german = dice.pick(degrees) if adjective.english_comparative else ("", "")
    return Fixed(english + adjective.english, german + adjective.german)


def _draw_comparison(dice: Dice, subject: Phrase, kind: str) -> Comparison:
    standard = subject
    while standard == subject:
        by_name = kind == "person" and dice.chance(0.5)
        standard = draw_name(dice) if by_name else draw_noun_phrase(dice, (kind,), definite=True)
    return Comparison(dice.pick(adjectives_of(kind, comparable=True)), standard)


def draw_price(dice: Dice) -> Clause:
    """Draws a clause such as "this lamp costs forty-two euros"."""
    count = 2 + dice.below(dice.pick((98, 998)))
    subject = draw_noun_phrase(dice, PRICED, definite=True)
    return Clause(
        subject, VERBS["price"][0], complement=Fixed(f"{english_number(count)} euros", f"{german_number(count)} Euro")
    )


def draw_age(dice: Dice) -> Clause:
    """Draws a clause such as "my brother is forty-two years old"."""
    subject = draw_person(dice, definite=True, simple=True)
    is_child = isinstance(subject, NounPhrase) and subject.noun in CHILDREN
    count = 2 + dice.below(10 if is_child else 98)
    age = Fixed(f"{english_number(count)} years old", f"{german_number(count)} Jahre alt")
    return Clause(subject, BE, complement=age)


def draw_existence(dice: Dice) -> Clause:
    """Draws a clause such as "there are two museums in the city": in der Stadt gibt es zwei Museen."""
    things, places = dice.pick(FOUND)
    found = replace(draw_noun_phrase(dice, things, countable=True), owner=None, attribute=None)
    if not found.count:
        found = replace(found, determiner=dice.weighted({"many" if found.plural else "a": 5, "no": 1}))
    where = Prepositional(IN, draw_location(dice, places))
    return Clause(Pronoun("it"), EXIST, accusative=found, place=where, front="place")


def draw_rest(dice: Dice) -> Clause:
    """Draws a clause such as "the book is lying on the table"."""
    verb = dice.pick(VERBS["rest"])
    tense = dice.pick(("progressive", "past"))
    clause = Clause(draw_noun_phrase(dice, verb.kinds), verb, tense, place=draw_spot(dice, "dative"))
    return replace(clause, front=dice.weighted({"subject": 7, "place": 3}))
