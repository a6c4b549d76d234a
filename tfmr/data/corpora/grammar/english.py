"""Expresses a `Clause` in English: subject, verb, objects, complement, place, time.

A question puts the auxiliary before the subject, and a question or negation of
a plain verb needs "do": does the man read, the man does not read.
"""

from tfmr.data.corpora.grammar import english_words as words
from tfmr.data.corpora.grammar.lexicon import EXIST
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Comparison,
    EnglishVerb,
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


def english(sentence: Sentence) -> str:
    """Returns the sentence in English, with a capital letter and a punctuation mark."""
    if sentence.mood == "request":
        text = _join("please", _bare_clause(sentence.clause))
    else:
        text = clause_words(sentence.clause, inverted=sentence.mood == "question")
    if sentence.second is not None and sentence.conjunction is not None:
        joint = sentence.conjunction.english
        text += f"{'' if joint == 'and' else ','} {joint} {clause_words(sentence.second)}"
    return text[0].upper() + text[1:] + ("?" if sentence.mood == "question" else ".")


def clause_words(clause: Clause, *, inverted: bool = False) -> str:
    """Returns the words of a clause; inverted, as in a question, the auxiliary precedes the subject."""
    inverted = inverted and not isinstance(clause.subject, Interrogative)
    fields = _fields(clause)
    subject = fields.pop("subject")
    first = fields.pop(clause.front) if clause.front != "subject" else ""
    finite, rest = _verbs(clause, inverted)
    before = f"{_dependent(clause.before)}," if clause.before else ""
    head = (finite, subject) if inverted else (subject, finite)
    return _join(before, first, *head, rest, *fields.values())


def _bare_clause(clause: Clause) -> str:
    """Returns a clause without a subject and with the base form of the verb, for an infinitive or a request."""
    fields = _fields(clause)
    del fields["subject"]
    return _join(clause.verb.english.base, clause.verb.link, *fields.values())


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _dependent(dependent: Subordinate) -> str:
    clause = f"to {_bare_clause(dependent.clause)}" if dependent.infinitive else clause_words(dependent.clause)
    return _join(dependent.english, clause)


def _fields(clause: Clause) -> dict[str, str]:
    """Returns the parts of the clause except the verb by name, in the order of a statement."""
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
    fields["after"] = _dependent(clause.after) if clause.after else ""
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
    """Returns the finite verb, and the words after it: not, an adverb, the other verbs."""
    chain = _chain(clause)
    if (inverted or clause.negated) and not chain[0][0].auxiliary:
        chain.insert(0, (words.DO, "", "base"))
    subject = clause.accusative if clause.verb is EXIST and clause.accusative is not None else clause.subject
    first, link, form = chain[0]
    finite, rest = words.finite(first, subject.agreement, clause.tense == "past"), [link]
    for verb, link, next_form in chain[1:]:
        rest += [words.nonfinite(verb, form), link]
        form = next_form
    adverb = clause.time.english if clause.time is not None and clause.time.middle else ""
    if finite == "can" and clause.negated:
        return "cannot", _join(*rest)
    if not first.auxiliary:
        return _join(adverb, finite), _join(*rest)
    return finite, _join("not" if clause.negated else "", adverb, *rest)


def _chain(clause: Clause) -> list[tuple[EnglishVerb, str, str]]:
    """Returns the verbs in order, each with the words after it and the form of the verb that follows.

    She will have to read; the book has been read.
    """
    chain: list[tuple[EnglishVerb, str, str]] = []
    if clause.tense == "future":
        chain.append((words.WILL, "", "base"))
    if clause.tense == "perfect":
        chain.append((words.HAVE, "", "participle"))
    if clause.modal is not None:
        chain.append((clause.modal.english, clause.modal.link, "base"))
    if clause.tense == "progressive":
        chain.append((words.BE, "", "ing"))
    if clause.passive:
        chain.append((words.BE, "", "participle"))
    return [*chain, (clause.verb.english, clause.verb.link, "")]


def phrase(part: Phrase, *, subject: bool = False) -> str:
    """Returns a noun phrase or pronoun as a subject or object."""
    if isinstance(part, NounPhrase):
        return noun_phrase(part)
    if isinstance(part, Pair):
        return f"{phrase(part.first, subject=subject)} and {phrase(part.second, subject=subject)}"
    if isinstance(part, Relative):
        return "that" if not part.person else "who" if subject else "whom"
    return part.english if subject or isinstance(part, Name) else words.OBJECTIVE.get(part.english, part.english)


def noun_phrase(part: NounPhrase) -> str:
    """Returns determiner or owner, number, adjectives and noun, with attributes and relative clause."""
    rest = _join(
        english_number(part.count) if part.count else "",
        *(adjective.english for adjective in part.adjectives),
        part.noun.english_plural if part.plural else part.noun.english,
        _complement(part.attribute),
        clause_words(part.relative) if part.relative is not None else "",
    )
    if part.owner is not None:
        return f"{phrase(part.owner)}'s {rest}"
    if part.determiner == "a":
        return f"{words.indefinite_article(rest)} {rest}"
    if part.determiner == "this" and part.plural:
        return f"these {rest}"
    return _join(part.determiner, rest)
