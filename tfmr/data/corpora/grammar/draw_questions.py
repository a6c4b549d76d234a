"""Draws questions: who, what, which, how many, when, why, where, with whom."""

from dataclasses import replace

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_clauses import WITH_PLACE, draw_clause
from tfmr.data.corpora.grammar.draw_phrases import draw_noun
from tfmr.data.corpora.grammar.meaning import Clause, Fixed, Interrogative, NounPhrase, Phrase, Prepositional, Pronoun

WHO = Interrogative("who")
# The part that a question asks for, and the frame of the verbs that have this part.
ASKED = {"subject": 5, "accusative": 6, "dative": 2, "complement": 2, "time": 6, "place": 2, "direction": 2}
FRAMES = {"accusative": "transitive", "dative": "dative", "complement": "prepositional", "direction": "motion"}


def draw_yes_no_clause(dice: Dice) -> Clause:
    """Draws the clause of a question such as "does the man read the book?"."""
    clause = draw_clause(dice)
    return replace(_without_i(clause), front="subject", negated=False)


def draw_asking_clause(dice: Dice) -> Clause:
    """Draws a clause that starts with a question word."""
    asked = dice.weighted(ASKED)
    if asked == "subject":
        return replace(draw_clause(dice, subject=WHO, plain=True), front="subject")
    clause = _without_i(draw_clause(dice, frame=FRAMES.get(asked, ""), plain=True, short=dice.chance(0.7)))
    if asked == "accusative":
        return replace(clause, accusative=_draw_asked_object(dice, clause), front="accusative")
    if asked == "dative":
        return replace(clause, dative=WHO, front="dative")
    if asked == "complement" and isinstance(clause.complement, Prepositional):
        return replace(clause, complement=Prepositional(clause.complement.preposition, WHO), front="complement")
    if asked == "direction":
        return replace(clause, complement=Fixed("where", "wohin"), front="complement")
    if asked == "place" and clause.verb.english.base in WITH_PLACE:
        return replace(clause, place=Fixed("where", "wo"), front="place")
    # English does not use the perfect with when: when did she read, not when has she read.
    words = (("why", "warum"),) if clause.tense == "perfect" else (("why", "warum"), ("when", "wann"))
    return replace(clause, time=Fixed(*dice.pick(words)), front="time")


def _without_i(clause: Clause) -> Clause:
    """Returns the clause with we instead of I, because people rarely ask what they do themselves."""
    return replace(clause, subject=Pronoun("we")) if clause.subject == Pronoun("I") else clause


def _draw_asked_object(dice: Dice, clause: Clause) -> Phrase:
    """Draws the object of a question: what, whom, which book, how many books."""
    kinds = clause.verb.kinds
    choice = dice.weighted({"word": 4, "which": 3, "how many": 2})
    if choice == "word" or kinds == ("drink",):
        return Interrogative("who" if kinds[0] == "person" else "what")
    return NounPhrase(draw_noun(dice, kinds, countable=True), choice, plural=choice == "how many")
