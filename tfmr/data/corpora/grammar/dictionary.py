"""Reads the tables of the lexicon: headings, and entries like those of a dictionary with fields separated by ` | `.

    nouns       man, men | der Mann, Männer            milk | die Milch            boy | der Junge, Jungen, weak
    verbs       give, gave, given | geben, gibt, hat gegeben | thing text          call | an-rufen, ruft, ...
    adjectives  old, older | alt, älter | person thing

Regular English forms are omitted.
"""

from collections.abc import Iterator

from tfmr.data.corpora.grammar.english_words import regular_past, with_s
from tfmr.data.corpora.grammar.meaning import Adjective, EnglishVerb, GermanVerb, Noun, Preposition, Verb

_GENDERS = {"der": "m", "die": "f", "das": "n"}
_AUXILIARIES = {"hat": "haben", "ist": "sein"}
_STATES = ("stative", "please", "say", "try")  # frames whose verbs are states rather than actions


def _entries(table: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields the words in each field of each entry, after the heading above it."""
    heading = ""
    for line in table.strip().split("\n"):
        if "|" in line:
            yield heading, [[word.strip() for word in field.split(",")] for field in line.split("|")]
        else:
            heading = line.strip()


def read_nouns(table: str) -> list[Noun]:
    """Reads nouns by kind: English, plural if irregular | German article and noun, plural if any, "weak" if so."""
    nouns = []
    for kind, ((english, *irregular), (german, *forms)) in _entries(table):
        article, word = german.split()
        german_plural = forms[0] if forms else ""
        plural = irregular[0] if irregular else with_s(english) if german_plural else ""
        nouns.append(Noun(english, plural, word, german_plural, _GENDERS[article], kind, "weak" in forms))
    return nouns


def read_verbs(table: str) -> dict[str, list[Verb]]:
    """Reads verbs by frame: English parts | infinitive, third person, perfect | kinds | preposition of the object.

    A word after the English base form stays with the verb (look for). With ~ it is a movable particle (pick ~up). The
    hyphen in an-rufen marks the end of a separable prefix.
    """
    verbs: dict[str, list[Verb]] = {}
    for frame, (english, german, (kinds, *_), *preposition) in _entries(table):
        base, _, follower = english[0].partition(" ")
        past = english[1] if len(english) > 1 else regular_past(base)
        participle = english[2] if len(english) > 2 else past
        prefix, _, infinitive = german[0].rpartition("-")
        auxiliary, german_participle = german[2].split()
        movable = follower.startswith("~")
        verbs.setdefault(frame, []).append(
            Verb(
                EnglishVerb(base, past, participle),
                GermanVerb(infinitive, german[1], german_participle, _AUXILIARIES[auxiliary], prefix),
                tuple(kinds.split()),
                particle=follower[1:] if movable else "",
                link="" if movable else follower,
                preposition=Preposition(*(word for (word,) in preposition)) if preposition else None,
                stative=frame in _STATES,
            )
        )
    return verbs


def read_adjectives(table: str) -> list[Adjective]:
    """Reads adjectives: English, comparative | German, comparative, stem if different | kinds of noun."""
    adjectives = []
    for _, ((english, *more), (german, *forms), (kinds, *_)) in _entries(table):
        comparatives = (more[0], forms[0]) if more else ("", "")
        stem = forms[1] if len(forms) > 1 else german
        adjectives.append(Adjective(english, german, *comparatives, tuple(kinds.split()), stem))
    return adjectives


def compounds(kind: str, first_parts: dict[str, str], heads: list[Noun]) -> list[Noun]:
    """Joins every first part with every head: {"apple": "Apfel"} and juice become apple juice, der Apfelsaft.

    The head determines gender and plural, and is written in lower case.
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
