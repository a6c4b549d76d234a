"""What a sentence means, independent of the language: words, phrases, clauses.

The `draw_` modules create a `Sentence`, and `english` and `german` express it in words. An agreement is a person and a
number: "1s", "2s", "3s", "1p", "3p". English "you" always means one friend, German du.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Mood = Literal["statement", "question", "request"]


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


@dataclass(frozen=True, slots=True)
class Fixed:
    """Words that never change: an adverb, a time, a complement such as "very old"."""

    english: str
    german: str
    middle: bool = False
    """English: precedes the verb (often reads)."""


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A personal pronoun by its English subject form; `it` has the gender of the German noun that it refers to."""

    english: str
    gender: str = ""

    @property
    def agreement(self) -> str:
        return {"I": "1s", "you": "2s", "we": "1p", "they": "3p"}.get(self.english, "3s")


@dataclass(frozen=True, slots=True)
class Name:
    """A proper name, of a person or a place, without an article."""

    english: str
    german: str
    gender: str = ""
    agreement: str = "3s"


@dataclass(frozen=True, slots=True)
class Interrogative:
    """The question words who and what."""

    english: str
    agreement: str = "3s"


@dataclass(frozen=True, slots=True)
class Relative:
    """The relative pronoun of a noun of this gender and number."""

    gender: str
    plural: bool
    person: bool

    @property
    def agreement(self) -> str:
        return "3p" if self.plural else "3s"


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun with its determiner, number, adjectives and attributes."""

    noun: Noun
    determiner: str = ""
    """The English word: the, a, this, my, no, many, which, how many, ... Empty: none, a number or an owner."""
    plural: bool = False
    adjectives: tuple[Adjective, ...] = ()
    count: int = 0
    """The number of things, written in words; 0: no number."""
    owner: "NounPhrase | Name | None" = None
    """The owner: the man's car, das Auto des Mannes; Anna's car, Annas Auto."""
    attribute: "Prepositional | None" = None
    """An attribute such as "with the red hat"."""
    relative: "Clause | None" = None
    """A relative clause: a clause that contains a `Relative`."""

    @property
    def agreement(self) -> str:
        return "3p" if self.plural else "3s"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two phrases joined by and."""

    first: "Phrase"
    second: "Phrase"
    agreement: str = "3p"


Phrase = Pronoun | Name | Interrogative | Relative | NounPhrase | Pair


@dataclass(frozen=True, slots=True)
class Prepositional:
    """A preposition and its phrase, in the case that the preposition governs here."""

    preposition: Preposition
    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Comparison:
    """The complement "older than the woman"."""

    adjective: Adjective
    standard: Phrase


@dataclass(frozen=True, slots=True)
class Modal:
    """A verb that takes an infinitive. `german` is None for "like to", which is the adverb gern in German."""

    english: EnglishVerb
    german: GermanVerb | None
    link: str = ""
    """The English words before the infinitive: to, allowed to."""


@dataclass(frozen=True, slots=True)
class Subordinate:
    """A clause that depends on another, with its conjunction. An infinitive clause omits its subject."""

    english: str
    german: str
    clause: "Clause"
    infinitive: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """A verb with its subject, objects and adverbials."""

    subject: Phrase
    verb: Verb
    tense: str = "present"
    """present, progressive, past, perfect or future."""
    accusative: Phrase | None = None
    dative: Phrase | None = None
    modal: Modal | None = None
    passive: bool = False
    negated: bool = False
    time: Fixed | None = None
    complement: Fixed | Comparison | Prepositional | None = None
    """The complement of the verb: a predicate, a prepositional object or a direction."""
    place: Prepositional | Fixed | None = None
    before: Subordinate | None = None
    after: Subordinate | None = None
    front: str = "subject"
    """The field that comes first in a main clause, or contains the question word or relative pronoun."""
    to_dative: bool = False
    """English: "gives the book to the woman" instead of "gives the woman the book"."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A clause, or two joined clauses, with a punctuation mark."""

    clause: Clause
    mood: Mood = "statement"
    conjunction: Fixed | None = None
    second: Clause | None = None
