"""What the lexicon holds about a word, and how its dictionary lines are read.

A line looks as it would in a dictionary, the fields apart by ` | `:

    nouns       man, men | der Mann, Männer             (one German form: no plural, such as milk)
    verbs       call, called, called | an-rufen, ruft, hat angerufen | person
    adjectives  old, older | alt, älter | person thing
    compounds   kitchen + | Küchen +                    (a first part, with its linking letters)
"""

from typing import NamedTuple

GENDERS = {"der": "m", "die": "f", "das": "n"}


class Noun(NamedTuple):
    """A noun: gender "m", "f" or "n"; an empty plural when it is never counted."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str
    kind: str
    weak: bool = False
    """Whether it takes -n or -en in every case but the nominative (der Student, den Studenten)."""


class EnglishVerb(NamedTuple):
    """The principal parts of an English verb."""

    base: str
    past: str
    participle: str
    auxiliary: bool = False
    """Whether it is negated and inverted by itself, without "do"."""


class GermanVerb(NamedTuple):
    """The principal parts of a German verb; the prefix is the one that separates."""

    infinitive: str
    third_person: str
    participle: str
    auxiliary: str = "haben"
    prefix: str = ""


class Verb(NamedTuple):
    """A verb in both languages, and what it takes."""

    english: EnglishVerb
    german: GermanVerb
    kinds: tuple[str, ...] = ()
    """Kinds of noun, or single English nouns, that its object may be."""
    particle: str = ""
    """English: stands before a noun and after a pronoun (picks up the child, picks him up)."""
    link: str = ""
    """English: always directly follows the verb (looks for him)."""
    preposition: "Preposition | None" = None
    """Of its object, when that is a prepositional one."""
    stative: bool = False
    """English: never progressive (he knows, not he is knowing)."""


class Preposition(NamedTuple):
    """A preposition in both languages, and the German case that it governs here."""

    english: str
    german: str
    case: str


class Adjective(NamedTuple):
    """An adjective; the comparatives are empty when it has none."""

    english: str
    german: str
    english_comparative: str
    german_comparative: str
    kinds: tuple[str, ...]
    german_stem: str
    """What the endings are added to: teuer, but teur-e."""


def _fields(line: str) -> list[list[str]]:
    return [[word.strip() for word in field.split(",")] for field in line.split("|")]


def _lines(table: str) -> list[list[list[str]]]:
    return [_fields(line) for line in table.strip().splitlines()]


def english_plural(noun: str) -> str:
    """Returns the regular plural: -s, -es after a hiss, -ies for -y after a consonant."""
    if noun.endswith(("s", "sh", "ch", "x")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def regular_past(verb: str) -> str:
    """Returns the regular past: -ed, -d after -e, -ied for -y after a consonant."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + "ed"


def read_nouns(kind: str, table: str) -> list[Noun]:
    """Reads lines such as `man, men | der Mann, Männer` and `boy | der Junge, Jungen, weak`."""
    nouns = []
    for english, (german, *rest) in _lines(table):
        article, word = german.split()
        plural = rest[0] if rest else ""
        plural_en = "" if not plural else english[1] if len(english) > 1 else english_plural(english[0])
        nouns.append(Noun(english[0], plural_en, word, plural, GENDERS[article], kind, "weak" in rest))
    return nouns


def read_verbs(table: str, *, stative: bool = False) -> list[Verb]:
    """Reads lines such as `pick ~up | ab-holen, holt, hat abgeholt | person`.

    The parts after the base are left out of a regular English verb. A word
    after the base stays with it (look for); with ~ it is a movable particle.
    A fourth field is the preposition of the object: `for | auf | accusative`.
    """
    verbs = []
    for english, german, (kinds, *_), *preposition in _lines(table):
        base, _, follower = english[0].partition(" ")
        past = english[1] if len(english) > 1 else regular_past(base)
        participle = english[2] if len(english) > 2 else past
        prefix, _, infinitive = german[0].rpartition("-")
        auxiliary, german_participle = german[2].split()
        verbs.append(
            Verb(
                EnglishVerb(base, past, participle),
                GermanVerb(
                    infinitive, german[1], german_participle, {"hat": "haben", "ist": "sein"}[auxiliary], prefix
                ),
                tuple(kinds.split()),
                particle=follower[1:] if follower.startswith("~") else "",
                link="" if follower.startswith("~") else follower,
                preposition=Preposition(*(field[0] for field in preposition)) if preposition else None,
                stative=stative,
            )
        )
    return verbs


def read_adjectives(table: str) -> list[Adjective]:
    """Reads lines such as `expensive, more expensive | teuer, teurer, teur | thing`."""
    adjectives = []
    for english, german, (kinds, *_) in _lines(table):
        stem = german[2] if len(german) > 2 else german[0]
        comparatives = (english[1], german[1]) if len(english) > 1 else ("", "")
        adjectives.append(Adjective(english[0], german[0], *comparatives, tuple(kinds.split()), stem))
    return adjectives


def compounds(kind: str, first_parts: dict[str, str], heads: list[Noun]) -> list[Noun]:
    """Joins every first part with every head: {"apple": "Apfel"} and juice give apple juice, der Apfelsaft.

    The German first part is written with its linking letters (Geschichts-, Küchen-); the head
    gives gender and plural, and is written small.
    """
    return [
        head._replace(
            english=f"{english} {head.english}",
            english_plural=head.english_plural and f"{english} {head.english_plural}",
            german=german + head.german.lower(),
            german_plural=head.german_plural and german + head.german_plural.lower(),
            kind=kind,
        )
        for english, german in first_parts.items()
        for head in heads
    ]
