"""Says a `Clause` in German, by the topological fields of the German clause.

    field       fore-field  left bracket  middle field           right bracket      after-field
    main        Gestern     hat           der Mann das Buch      gelesen            , weil ...
    question                Hat           der Mann das Buch      gelesen            ?
    dependent               weil          der Mann das Buch      gelesen hat

A main clause has the finite verb second and the rest of the verb last; a
dependent one has the whole verb last. A separable prefix belongs to the right
bracket: ruft ... an, but anruft, angerufen, anzurufen.
"""

from dataclasses import replace

from tfmr.data.corpora.grammar import german_words as words
from tfmr.data.corpora.grammar.entries import GermanVerb
from tfmr.data.corpora.grammar.lexicon_verbs import PLEASE
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
from tfmr.data.corpora.grammar.numbers import german_number

CONTRACTIONS = {
    ("in", "dem"): "im", ("in", "das"): "ins", ("an", "dem"): "am", ("an", "das"): "ans",
    ("zu", "dem"): "zum", ("zu", "der"): "zur", ("von", "dem"): "vom", ("bei", "dem"): "beim",
}  # fmt: skip


def german(sentence: Sentence) -> str:
    """Returns the sentence in German, with capital and punctuation mark."""
    text = main_clause(sentence.clause, question=sentence.question)
    if sentence.second is not None and sentence.conjunction is not None:
        # No comma before und, one before aber.
        joint = sentence.conjunction.german
        text += f"{'' if joint == 'und' else ','} {joint} {main_clause(sentence.second)}"
    text = text.replace(",,", ",").rstrip(",")
    return text[0].upper() + text[1:] + ("?" if sentence.question else ".")


def main_clause(clause: Clause, *, question: bool = False) -> str:
    """Returns a clause with the verb second; first in a question without a question word."""
    clause = _german_roles(clause)
    verb, past, bracket = _verb_complex(clause)
    agreement = clause.subject.agreement
    finite = words.preterite(verb, agreement) if past else words.present(verb, agreement)
    if verb.prefix:
        bracket = [*bracket, verb.prefix]
    fields = _fields(clause)
    if question and clause.front == "subject" and not isinstance(clause.subject, Interrogative):
        fore_field = ""
    elif clause.before is not None:
        fore_field = _dependent(clause.before) + ","
    else:
        fore_field = fields.pop(clause.front)
    return _join(fore_field, finite, *fields.values(), *bracket) + _after_field(clause)


def dependent_clause(clause: Clause) -> str:
    """Returns a clause with the verb last, after its relative pronoun or question word if it has one."""
    clause = _german_roles(clause)
    verb, past, bracket = _verb_complex(clause)
    agreement = clause.subject.agreement
    finite = words.preterite(verb, agreement) if past else words.present(verb, agreement)
    fields = _fields(clause)
    first = fields.pop(clause.front)
    return _join(first, *fields.values(), *bracket, verb.prefix + finite) + _after_field(clause)


def infinitive_clause(clause: Clause) -> str:
    """Returns a clause without subject that ends in an infinitive with zu."""
    fields = _fields(clause)
    del fields["subject"]
    return _join(*fields.values(), words.infinitive_with_zu(clause.verb.german)) + _after_field(clause)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _dependent(dependent: Subordinate) -> str:
    clause = infinitive_clause(dependent.clause) if dependent.infinitive else dependent_clause(dependent.clause)
    return _join(dependent.german, clause)


def _after_field(clause: Clause) -> str:
    """Returns what follows the right bracket: the object's relative clause and the dependent clause."""
    text = ""
    if isinstance(clause.accusative, NounPhrase) and clause.accusative.relative is not None:
        text += f", {dependent_clause(clause.accusative.relative)},"
    if clause.after is not None:
        text += f", {_dependent(clause.after)},"
    return text


def _german_roles(clause: Clause) -> Clause:
    """Returns the clause with German roles: who likes something in English is pleased by it in German."""
    if clause.verb is not PLEASE or clause.accusative is None:
        return clause
    front = clause.front
    if front == "accusative":
        front = "subject"
    elif isinstance(clause.subject, Relative | Interrogative):
        front = "dative"
    return replace(clause, subject=clause.accusative, dative=clause.subject, accusative=None, front=front)


def _verb_complex(clause: Clause) -> tuple[GermanVerb, bool, list[str]]:
    """Returns the verb that is finite, whether in the simple past, and the words of the right bracket.

    Every auxiliary puts the verb that it governs, as participle or infinitive, at the end of the
    bracket: ruft an; hat angerufen; muss anrufen; muss angerufen werden; ist angerufen worden.
    """
    verb, bracket = clause.verb.german, []
    if clause.passive:
        bracket.append(verb.participle)
        verb = words.WERDEN
    if clause.modal is not None and clause.modal.german is not None:
        bracket.append(verb.prefix + verb.infinitive)
        verb = clause.modal.german
    past = clause.tense == "past" and words.has_preterite(verb)
    if clause.tense == "future":
        bracket.append(verb.prefix + verb.infinitive)
        verb = words.WERDEN
    elif clause.tense in ("past", "perfect") and not past:
        bracket.append(verb.participle)
        verb = words.SEIN if verb.auxiliary == "sein" else words.HABEN
    return verb, past, bracket


def _fields(clause: Clause) -> dict[str, str]:
    """Returns the parts of the clause by name, in the order of the middle field.

    Subject, pronouns (accusative first), definite objects (dative first), time, indefinite
    objects, place, complement. The negation stands before the complement, or else the place.
    """
    accusative, negation = clause.accusative, "nicht" if clause.negated else ""
    if negation and isinstance(accusative, NounPhrase) and _can_take_kein(accusative):
        accusative, negation = replace(accusative, determiner="no"), ""
    objects = {"dative": clause.dative, "accusative": accusative}
    ranks = {case: _rank(phrase) for case, phrase in objects.items() if phrase is not None}
    fields = {"subject": phrase(clause.subject, "nominative")}

    def add_objects(rank: int, cases: tuple[str, ...]) -> None:
        fields.update({case: _object(objects[case], case) for case in cases if ranks.get(case) == rank})

    add_objects(0, ("accusative", "dative"))
    add_objects(1, ("dative", "accusative"))
    fields["time"] = clause.time.german if clause.time else ""
    if clause.modal is not None and clause.modal.german is None:
        fields["gern"], negation = _join(negation, "gern"), ""
    add_objects(2, ("dative", "accusative"))
    place = _complement(clause.place) if clause.place is not None else ""
    if clause.complement is None:
        fields.update(negation=negation, place=place)
    else:
        fields.update(place=place, negation=negation, complement=_complement(clause.complement))
    return fields


def _can_take_kein(phrase: NounPhrase) -> bool:
    """Returns whether the phrase is indefinite, so that the negation is its article: keinen Apfel, keine Milch."""
    return phrase.determiner in ("a", "") and phrase.owner is None and not phrase.count


def _rank(phrase: Phrase) -> int:
    """Returns 0 for a pronoun, 1 for a definite phrase, 2 for an indefinite one: known things come first."""
    if isinstance(phrase, Pronoun):
        return 0
    if isinstance(phrase, NounPhrase):
        return 2 if phrase.determiner in ("a", "no", "many", "some", "") and phrase.owner is None else 1
    return 1


def _object(phrase_: Phrase | None, case: str) -> str:
    """Returns an object; the relative clause of an accusative one follows in the after-field."""
    assert phrase_ is not None
    if case == "accusative" and isinstance(phrase_, NounPhrase):
        phrase_ = replace(phrase_, relative=None)
    return phrase(phrase_, case)


def _complement(part: Fixed | Comparison | Prepositional) -> str:
    if isinstance(part, Fixed):
        return part.german
    if isinstance(part, Comparison):
        return f"{part.adjective.german_comparative} als {phrase(part.standard, 'nominative')}"
    preposition, case = part.preposition.german, part.preposition.case
    text = phrase(part.phrase, case)
    first, _, rest = text.partition(" ")
    is_article = isinstance(part.phrase, NounPhrase) and part.phrase.determiner == "the" and not part.phrase.plural
    if is_article and (preposition, first) in CONTRACTIONS:
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
    index = words.CASES.index(case)
    if isinstance(part, Pronoun):
        return words.PRONOUNS[part.english, part.gender][index]
    if isinstance(part, Interrogative):
        return words.INTERROGATIVES[part.english][index]
    return words.RELATIVE_PRONOUN[case, "p" if part.plural else part.gender]


def noun_phrase(part: NounPhrase, case: str) -> str:
    """Returns determiner, number, adjectives and noun in a case, with owner and relative clause."""
    column = "p" if part.plural else part.noun.gender
    # Annas Auto has no article; das Auto des Mannes has one.
    determiner = "the" if isinstance(part.owner, NounPhrase) else part.determiner
    ending = words.adjective_ending(determiner, case, column)
    text = _join(
        f"{part.owner.german}s" if isinstance(part.owner, Name) else words.determiner_form(determiner, case, column),
        german_number(part.count) if part.count else "",
        *(adjective.german_stem + ending for adjective in part.adjectives),
        words.noun_form(part.noun, case, part.plural),
        noun_phrase(part.owner, "genitive") if isinstance(part.owner, NounPhrase) else "",
    )
    return f"{text}, {dependent_clause(part.relative)}," if part.relative is not None else text
