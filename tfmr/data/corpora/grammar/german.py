"""Expresses a `Clause` in German, by the topological fields of the German clause.

    field       fore-field  left bracket  middle field           right bracket      after-field
    main        Gestern     hat           der Mann das Buch      gelesen            , weil ...
    question                Hat           der Mann das Buch      gelesen            ?
    dependent               weil          der Mann das Buch      gelesen hat

In a main clause the finite verb is second and the rest of the verb is last. In a dependent clause the whole verb is
last. A separable prefix belongs to the right bracket: ruft ... an, but anruft, angerufen, anzurufen.
"""

from dataclasses import replace

from tfmr.data.corpora.grammar import german_words as words
from tfmr.data.corpora.grammar.lexicon import PLEASE
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Comparison,
    Fixed,
    Interrogative,
    Mood,
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
from tfmr.data.corpora.grammar.numbers import german_number

CONTRACTIONS = {
    ("in", "dem"): "im", ("in", "das"): "ins", ("an", "dem"): "am", ("an", "das"): "ans",
    ("zu", "dem"): "zum", ("zu", "der"): "zur", ("von", "dem"): "vom", ("bei", "dem"): "beim",
}  # fmt: skip
BITTE = Fixed("please", "bitte", middle=True)
PRONOUN, DEFINITE, INDEFINITE = range(3)  # the order of objects: known information comes first


def german(sentence: Sentence) -> str:
    """Returns the sentence in German, with a capital letter and a punctuation mark."""
    text = main_clause(sentence.clause, sentence.mood)
    if sentence.second is not None and sentence.conjunction is not None:
        # A comma precedes aber but not und.
        joint = sentence.conjunction.german
        text += f"{'' if joint == 'und' else ','} {joint} {main_clause(sentence.second)}"
    # A dependent clause ends with a comma, unless another comma or the end of the sentence follows.
    text = text.replace(",,", ",").rstrip(",")
    return text[0].upper() + text[1:] + ("?" if sentence.mood == "question" else ".")


def main_clause(clause: Clause, mood: Mood = "statement") -> str:
    """Returns a clause with the verb second, or first in requests and in questions without a question word."""
    clause = _german_roles(clause)
    if mood == "request":
        verb, fields = clause.verb.german, _fields(replace(clause, time=BITTE))
        del fields["subject"]
        return _join(words.imperative(verb), *fields.values(), verb.prefix) + _after_field(clause)
    fields = _fields(clause)
    finite, prefix, bracket = _verbs(clause)
    if clause.before is not None:
        fore_field = _dependent(clause.before) + ","
    elif mood == "question" and clause.front == "subject" and not isinstance(clause.subject, Interrogative):
        fore_field = ""
    else:
        fore_field = fields.pop(clause.front)
    return _join(fore_field, finite, *fields.values(), *bracket, prefix) + _after_field(clause)


def dependent_clause(clause: Clause) -> str:
    """Returns a clause with the verb last, which starts with its relative pronoun or question word if it has one."""
    clause = _german_roles(clause)
    fields = _fields(clause)
    has_opener = clause.front != "subject" or isinstance(clause.subject, Relative | Interrogative)
    opener = fields.pop(clause.front) if has_opener else ""
    finite, prefix, bracket = _verbs(clause)
    return _join(opener, *fields.values(), *bracket, prefix + finite) + _after_field(clause)


def infinitive_clause(clause: Clause) -> str:
    """Returns a clause without a subject that ends in an infinitive with zu."""
    fields = _fields(clause)
    del fields["subject"]
    return _join(*fields.values(), words.infinitive_with_zu(clause.verb.german)) + _after_field(clause)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _dependent(dependent: Subordinate) -> str:
    clause = infinitive_clause(dependent.clause) if dependent.infinitive else dependent_clause(dependent.clause)
    return _join(dependent.german, clause)


def _after_field(clause: Clause) -> str:
    """Returns the words after the right bracket: the relative clause of the object, and the dependent clause."""
    text = ""
    if isinstance(clause.accusative, NounPhrase) and clause.accusative.relative is not None:
        text += f", {dependent_clause(clause.accusative.relative)},"
    if clause.after is not None:
        text += f", {_dependent(clause.after)},"
    return text


def _german_roles(clause: Clause) -> Clause:
    """Returns the clause with its German roles: "she likes it" becomes "it pleases her"."""
    if clause.verb is not PLEASE or clause.accusative is None:
        return clause
    front = clause.front
    if front == "accusative":
        front = "subject"
    elif isinstance(clause.subject, Relative | Interrogative):
        front = "dative"
    return replace(clause, subject=clause.accusative, dative=clause.subject, accusative=None, front=front)


def _verbs(clause: Clause) -> tuple[str, str, list[str]]:
    """Returns the finite verb, its separable prefix, and the other words of the right bracket.

    The participle or infinitive that an auxiliary governs is at the end of the bracket: ruft an; hat angerufen; muss
    anrufen; muss angerufen werden; ist angerufen worden.
    """
    verb, bracket = clause.verb.german, []
    if clause.passive:
        bracket.append(verb.participle)
        verb = words.WERDEN
    if clause.modal is not None and clause.modal.german is not None:
        bracket.append(verb.prefix + verb.infinitive)
        verb = clause.modal.german
    is_preterite = clause.tense == "past" and words.has_preterite(verb)
    if clause.tense == "future":
        bracket.append(verb.prefix + verb.infinitive)
        verb = words.WERDEN
    elif clause.tense in ("past", "perfect") and not is_preterite:
        bracket.append(verb.participle)
        verb = words.SEIN if verb.auxiliary == "sein" else words.HABEN
    form = words.preterite if is_preterite else words.present
    return form(verb, clause.subject.agreement), verb.prefix, bracket


def _fields(clause: Clause) -> dict[str, str]:
    """Returns the parts of the clause by name, in the order of the middle field.

    Subject, known objects, time, new objects, place, complement. The negation precedes the complement
    or, if there is none, the place.
    """
    fields = {"subject": phrase(clause.subject, "nominative")}
    objects, negation = _objects(clause)
    for case in _before_time(clause, objects):
        fields[case] = _object(objects.pop(case), case)
    fields["time"] = clause.time.german if clause.time is not None else ""
    if clause.modal is not None and clause.modal.german is None:
        fields["gladly"], negation = _join(negation, "gern"), ""
    fields.update({case: _object(part, case) for case, part in objects.items()})
    place = _complement(clause.place)
    if clause.complement is None:
        fields.update(negation=negation, place=place)
    else:
        fields.update(place=place, negation=negation, complement=_complement(clause.complement))
    if clause.verb is PLEASE:
        fields = {"dative": fields.pop("dative"), **fields}  # the person who is pleased precedes the thing
    return fields


def _before_time(clause: Clause, objects: dict[str, Phrase]) -> list[str]:
    """Returns the objects before the time: pronouns, and one definite phrase unless the time is an adverb like oft.

    Sie zeigt ihm oft das Buch; sie hat das Buch gestern gelesen; sie hat gestern ein Buch gelesen.
    """
    pronouns = [case for case, part in objects.items() if _rank(part) == PRONOUN]
    definite = [case for case, part in objects.items() if _rank(part) == DEFINITE]
    # Das Buch schon gelesen: adverbs of the perfect follow the object, like gestern.
    is_early = clause.time is not None and clause.time.middle and clause.tense != "perfect"
    return pronouns if is_early else [*pronouns, *definite[:1]]


def _objects(clause: Clause) -> tuple[dict[str, Phrase], str]:
    """Returns the objects by case in order, and the word of negation unless an object contains it.

    Pronouns come first, the accusative before the dative (gibt es ihm), then definite and then indefinite phrases,
    the dative before the accusative (gibt dem Kind das Buch).
    """
    objects = {"dative": clause.dative, "accusative": clause.accusative}
    found = {case: part for case, part in objects.items() if part is not None}
    negation = "nicht" if clause.negated else ""
    likes = clause.modal is not None and clause.modal.german is None
    last = list(found)[-1] if found else ""
    if negation and not likes and last and _can_take_kein(found[last]):
        found[last], negation = replace(found[last], determiner="no"), ""
    if len(found) == 2 and _rank(found["accusative"]) == PRONOUN:
        found = dict(reversed(found.items()))
    return dict(sorted(found.items(), key=lambda item: _rank(item[1]))), negation


def _rank(part: Phrase) -> int:
    if isinstance(part, Pronoun):
        return PRONOUN
    if isinstance(part, NounPhrase) and part.owner is None and part.determiner in words.INDEFINITE_DETERMINERS:
        return INDEFINITE
    return DEFINITE


def _can_take_kein(part: Phrase) -> bool:
    """Returns whether the phrase is indefinite, so that the negation is in its article: keinen Apfel, keine Milch."""
    return isinstance(part, NounPhrase) and part.determiner in ("a", "") and part.owner is None and not part.count


def _object(part: Phrase, case: str) -> str:
    """Returns an object. The relative clause of an accusative object is left to the after-field."""
    if case == "accusative" and isinstance(part, NounPhrase):
        part = replace(part, relative=None)
    return phrase(part, case)


def _complement(part: Fixed | Comparison | Prepositional | None) -> str:
    if part is None:
        return ""
    if isinstance(part, Fixed):
        return part.german
    if isinstance(part, Comparison):
        return f"{part.adjective.german_comparative} als {phrase(part.standard, 'nominative')}"
    preposition, text = part.preposition.german, phrase(part.phrase, part.preposition.case)
    first, _, rest = text.partition(" ")
    if isinstance(part.phrase, NounPhrase) and (preposition, first) in CONTRACTIONS:
        return f"{CONTRACTIONS[preposition, first]} {rest}"
    return f"{preposition} {text}"


def phrase(part: Phrase, case: str) -> str:
    """Returns a noun phrase or pronoun in a case."""
    if isinstance(part, NounPhrase):
        return noun_phrase(part, case)
    if isinstance(part, Pair):
        return f"{phrase(part.first, case)} und {phrase(part.second, case)}"
    if isinstance(part, Name):
        return part.german
    if isinstance(part, Relative):
        return words.RELATIVE_PRONOUN[case, "p" if part.plural else part.gender]
    if isinstance(part, Pronoun):
        return words.PRONOUNS[part.english, part.gender][words.CASES.index(case)]
    return words.INTERROGATIVES[part.english][words.CASES.index(case)]


def noun_phrase(part: NounPhrase, case: str) -> str:
    """Returns determiner, number, adjectives and noun in a case, with owner, attributes and relative clause."""
    column = "p" if part.plural else part.noun.gender
    # Annas Auto has no article, but das Auto des Mannes has one.
    determiner = "the" if isinstance(part.owner, NounPhrase) else part.determiner
    ending = words.adjective_ending(determiner, case, column)
    text = _join(
        f"{part.owner.german}s" if isinstance(part.owner, Name) else words.determiner_form(determiner, case, column),
        german_number(part.count) if part.count else "",
        *(adjective.german_stem + ending for adjective in part.adjectives),
        words.noun_form(part.noun, case, part.plural),
        noun_phrase(part.owner, "genitive") if isinstance(part.owner, NounPhrase) else "",
        _complement(part.attribute),
    )
    return f"{text}, {dependent_clause(part.relative)}," if part.relative is not None else text
