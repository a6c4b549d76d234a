"""Says a `Clause` in English: subject, verb, objects, complement, place, time.

A question puts the auxiliary before the subject, and a question or negation of
a plain verb needs "do": does the man read, the man does not read.
"""

from tfmr.data.corpora.grammar.entries import EnglishVerb
from tfmr.data.corpora.grammar.lexicon_verbs import EXIST
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Comparison,
    Fixed,
    Interrogative,
    Name,
    NounPhrase,
    Pair,
    Phrase,
    Prepositional,
    Pronoun,
    Relative,
    Sentence,
    Subordinate,
)
from tfmr.data.corpora.grammar.numbers import english_number

OBJECTIVE = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them", "who": "whom"}
POSSESSIVE_DETERMINERS = ("my", "your", "his", "her", "our", "their")

BE = EnglishVerb("be", "was", "been", auxiliary=True)
HAVE = EnglishVerb("have", "had", "had", auxiliary=True)
DO = EnglishVerb("do", "did", "done", auxiliary=True)
WILL = EnglishVerb("will", "would", "", auxiliary=True)
_DEFECTIVE = {"will", "would", "can", "must", "should"}
_IRREGULAR_ING = {"lie": "lying", "forget": "forgetting"}


def english(sentence: Sentence) -> str:
    """Returns the sentence in English, with capital and punctuation mark."""
    text = clause_words(sentence.clause, inverted=sentence.question)
    if sentence.second is not None and sentence.conjunction is not None:
        joint = sentence.conjunction.english
        text += f"{'' if joint == 'and' else ','} {joint} {clause_words(sentence.second)}"
    return text[0].upper() + text[1:] + ("?" if sentence.question else ".")


def clause_words(clause: Clause, *, inverted: bool = False) -> str:
    """Returns the words of a clause; inverted: as a question, with the auxiliary before the subject."""
    fields = _fields(clause)
    subject = fields.pop("subject")
    asks_subject = isinstance(clause.subject, Interrogative)
    inverted = inverted and not asks_subject
    finite, rest = _verbs(clause, inverted)
    first = fields.pop(clause.front, "") if clause.front != "subject" else ""
    before = f"{_dependent(clause.before)}," if clause.before else ""
    after = _dependent(clause.after) if clause.after else ""
    head = (finite, subject) if inverted else (subject, finite)
    return _join(before, first, *head, rest, *fields.values(), after)


def infinitive_clause(clause: Clause) -> str:
    """Returns a clause without subject that begins with to and the base of the verb."""
    fields = _fields(clause)
    del fields["subject"]
    return _join("to", clause.verb.english.base, clause.verb.link, *fields.values())


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _dependent(dependent: Subordinate) -> str:
    clause = infinitive_clause(dependent.clause) if dependent.infinitive else clause_words(dependent.clause)
    return _join(dependent.english, clause)


def _fields(clause: Clause) -> dict[str, str]:
    """Returns the parts of the clause by name, in the order of a statement (without the verb)."""
    if clause.verb is EXIST and clause.accusative is not None:
        return {"subject": "there", "accusative": phrase(clause.accusative), "place": _complement(clause.place)}
    fields = {"subject": phrase(clause.subject, subject=True)}
    accusative = phrase(clause.accusative) if clause.accusative is not None else ""
    dative = phrase(clause.dative) if clause.dative is not None else ""
    if clause.front == "accusative" or not isinstance(clause.accusative, Pronoun):
        fields["particle"] = clause.verb.particle
    if dative and accusative and clause.to_dative:
        fields.update(accusative=accusative, dative=f"to {dative}")
    else:
        fields.update(dative=dative, accusative=accusative)
    fields.setdefault("particle", clause.verb.particle)
    fields["complement"] = _complement(clause.complement)
    fields["place"] = _complement(clause.place)
    fields["time"] = clause.time.english if clause.time and not clause.time.middle else ""
    return fields


def _complement(part: Fixed | Comparison | Prepositional | None) -> str:
    if part is None:
        return ""
    if isinstance(part, Fixed):
        return part.english
    if isinstance(part, Comparison):
        return f"{part.adjective.english_comparative} than {phrase(part.standard)}"
    return f"{part.preposition.english} {phrase(part.phrase)}"


def _verbs(clause: Clause, inverted: bool) -> tuple[str, str]:
    """Returns the finite verb and what follows it: not, an adverb, the other verbs."""
    # Every verb of the chain decides the form of the next: will | have | been | read.
    chain: list[tuple[EnglishVerb, str, str]] = []
    if clause.tense == "future":
        chain.append((WILL, "", "base"))
    if clause.tense == "perfect":
        chain.append((HAVE, "", "participle"))
    if clause.modal is not None:
        chain.append((clause.modal.english, clause.modal.link, "base"))
    if clause.tense == "progressive":
        chain.append((BE, "", "ing"))
    if clause.passive:
        chain.append((BE, "", "participle"))
    chain.append((clause.verb.english, clause.verb.link, ""))
    if (inverted or clause.negated) and not chain[0][0].auxiliary:
        chain.insert(0, (DO, "", "base"))
    agreement = clause.subject.agreement
    if clause.verb is EXIST and clause.accusative is not None:
        agreement = clause.accusative.agreement
    first, link, form = chain[0]
    finite, rest = _finite(first, agreement, clause.tense == "past"), [link]
    for verb, link, governed in chain[1:]:
        rest += [_nonfinite(verb, form), link]
        form = governed
    adverb = clause.time.english if clause.time and clause.time.middle else ""
    if finite == "can" and clause.negated and not inverted:
        return "cannot", _join(*rest)
    if adverb and not first.auxiliary:
        return f"{adverb} {finite}", _join(*rest)
    return finite, _join("not" if clause.negated else "", adverb, *rest)


def _finite(verb: EnglishVerb, agreement: str, past: bool) -> str:
    if verb.base in _DEFECTIVE:
        return verb.base
    if verb.base == "be":
        if past:
            return "was" if agreement in ("1s", "3s") else "were"
        return {"1s": "am", "3s": "is"}.get(agreement, "are")
    if past:
        return verb.past
    return third_person(verb.base) if agreement == "3s" else verb.base


def _nonfinite(verb: EnglishVerb, form: str) -> str:
    return {"base": verb.base, "participle": verb.participle, "ing": ing(verb.base)}[form]


def third_person(verb: str) -> str:
    """Returns the form with he, she, it: reads, washes, tries, goes, has."""
    if verb == "have":
        return "has"
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def ing(verb: str) -> str:
    """Returns reading, writing, sitting: a final e falls, a consonant after one short vowel is doubled."""
    if verb in _IRREGULAR_ING:
        return _IRREGULAR_ING[verb]
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    vowels = [letter in "aeiou" for letter in verb]
    if sum(vowels) == 1 and vowels[-2] and not vowels[-1] and verb[-1] not in "wxy":
        return verb + verb[-1] + "ing"
    return verb + "ing"


def phrase(part: Phrase, *, subject: bool = False) -> str:
    """Returns a noun phrase or pronoun, as subject or as object."""
    if isinstance(part, NounPhrase):
        return noun_phrase(part)
    if isinstance(part, Pair):
        return f"{phrase(part.first, subject=subject)} and {phrase(part.second, subject=subject)}"
    if isinstance(part, Relative):
        return "that" if not part.person else "who" if subject else "whom"
    return part.english if subject or isinstance(part, Name) else OBJECTIVE.get(part.english, part.english)


def noun_phrase(part: NounPhrase) -> str:
    """Returns determiner or owner, number, adjectives, noun and relative clause."""
    first = f"{phrase(part.owner)}'s" if part.owner is not None else part.determiner
    words = [
        english_number(part.count) if part.count else "",
        *(adjective.english for adjective in part.adjectives),
        part.noun.english_plural if part.plural else part.noun.english,
    ]
    rest = _join(*words)
    if first == "a":
        first = indefinite_article(rest)
    if first == "this" and part.plural:
        first = "these"
    return _join(first, rest, clause_words(part.relative) if part.relative is not None else "")


def indefinite_article(following: str) -> str:
    """Returns a, or an before a vowel sound (a university)."""
    return "an" if following[0] in "aeiou" and not following.startswith("uni") else "a"
