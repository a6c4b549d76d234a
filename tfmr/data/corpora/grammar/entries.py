"""Entries of the lexicon."""

from typing import NamedTuple


class Noun(NamedTuple):
    """A noun in both languages. The gender is "m", "f" or "n"; uncountable nouns (milk) have empty plurals."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str
    kind: str
    """The kind of thing, which determines the verbs and adjectives that it can be used with."""
    weak: bool = False
    """German: ends in -n or -en in all cases except the nominative (der Student, den Studenten)."""


class EnglishVerb(NamedTuple):
    """The principal parts of an English verb."""

    base: str
    past: str
    participle: str
    auxiliary: bool = False
    """Whether it forms negations and questions without "do"."""


class GermanVerb(NamedTuple):
    """The principal parts of a German verb: anrufen, ruft an, hat angerufen."""

    infinitive: str
    """Without the separable prefix: rufen."""
    third_person: str
    participle: str
    auxiliary: str = "haben"
    prefix: str = ""


class Preposition(NamedTuple):
    """A preposition in both languages, and the German case that it governs here."""

    english: str
    german: str
    case: str


class Verb(NamedTuple):
    """A verb in both languages, and the objects that it takes."""

    english: EnglishVerb
    german: GermanVerb
    kinds: tuple[str, ...] = ()
    """Kinds of noun, or single English nouns, allowed as its object, or as its subject if it has no object."""
    particle: str = ""
    """English: precedes a noun but follows a pronoun (picks up the child, picks him up)."""
    link: str = ""
    """English: follows the verb directly (looks for him)."""
    preposition: Preposition | None = None
    """The preposition of its object, if it takes a prepositional object."""
    stative: bool = False
    """A state rather than an action: he knows, never he is knowing."""


class Adjective(NamedTuple):
    """An adjective in both languages. The comparatives are empty if they are not used."""

    english: str
    german: str
    english_comparative: str
    german_comparative: str
    kinds: tuple[str, ...]
    """Kinds of noun that it can describe."""
    german_stem: str
    """The stem that endings are added to: teuer, but teur-e."""
