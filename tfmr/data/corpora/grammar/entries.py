"""What the lexicon knows about a word."""

from typing import NamedTuple


class Noun(NamedTuple):
    """A noun in both languages: gender "m", "f" or "n"; empty plurals when it is never counted (milk)."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str
    kind: str
    """What sort of thing it is, for the verbs and adjectives that go with it."""
    weak: bool = False
    """German: takes -n or -en in every case but the nominative (der Student, den Studenten)."""


class EnglishVerb(NamedTuple):
    """The principal parts of an English verb."""

    base: str
    past: str
    participle: str
    auxiliary: bool = False
    """Whether it is negated and inverted by itself, without "do"."""


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
    """A verb in both languages, and what it takes."""

    english: EnglishVerb
    german: GermanVerb
    kinds: tuple[str, ...] = ()
    """Kinds of noun, or single English nouns, that its object (or the subject of one that has none) may be."""
    particle: str = ""
    """English: stands before a noun but after a pronoun (picks up the child, picks him up)."""
    link: str = ""
    """English: stands right after the verb (looks for him)."""
    preposition: Preposition | None = None
    """Of its object, when that is a prepositional one."""
    stative: bool = False
    """A state, not an action: he knows, never he is knowing."""


class Adjective(NamedTuple):
    """An adjective in both languages; the comparatives are empty when they are not used."""

    english: str
    german: str
    english_comparative: str
    german_comparative: str
    kinds: tuple[str, ...]
    """Kinds of noun that it describes."""
    german_stem: str
    """What the endings are added to: teuer, but teur-e."""
