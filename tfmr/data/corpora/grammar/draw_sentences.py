"""Draws sentences; `KINDS` gives the relative frequency of each kind."""

from collections.abc import Callable
from dataclasses import replace

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_adverbials import PAST
from tfmr.data.corpora.grammar.draw_clauses import draw_clause, draw_intention, draw_passive
from tfmr.data.corpora.grammar.draw_dependent import (
    draw_condition,
    draw_coordination,
    draw_infinitive,
    draw_purpose,
    draw_reason,
    draw_relative,
    draw_report,
)
from tfmr.data.corpora.grammar.draw_questions import draw_asking_clause, draw_yes_no_clause
from tfmr.data.corpora.grammar.draw_states import draw_age, draw_description, draw_existence, draw_price, draw_rest
from tfmr.data.corpora.grammar.meaning import Fixed, Pronoun, Sentence

REQUESTED = ("transitive", "transitive", "dative", "ditransitive", "motion", "placement")


def draw_sentence(dice: Dice) -> Sentence:
    """Draws a sentence of any kind."""
    return dice.weighted(KINDS)(dice)


def draw_statement(dice: Dice) -> Sentence:
    """Draws a sentence such as "today the man must read the book"."""
    return Sentence(draw_clause(dice))


def draw_passive_statement(dice: Dice) -> Sentence:
    """Draws a sentence such as "the book was written by the man"."""
    return Sentence(draw_passive(dice))


def draw_question(dice: Dice) -> Sentence:
    """Draws a question such as "does the man read the book?"."""
    return Sentence(draw_yes_no_clause(dice), "question")


def draw_wh_question(dice: Dice) -> Sentence:
    """Draws a question such as "what does the man read?"."""
    return Sentence(draw_asking_clause(dice), "question")


def draw_request(dice: Dice) -> Sentence:
    """Draws a request such as "please open the door": mach bitte die Tür auf."""
    return Sentence(draw_intention(dice, Pronoun("you"), REQUESTED), "request")


def draw_state(dice: Dice) -> Sentence:
    """Draws "the house is old", "was the house old?" or "last year the house was old"."""
    clause = draw_description(dice)
    if clause.tense == "past" and isinstance(clause.complement, Fixed) and dice.chance(0.3):
        return Sentence(replace(clause, time=dice.pick(PAST), front="time"))
    return Sentence(clause, "question" if not clause.negated and dice.chance(0.2) else "statement")


def draw_measure(dice: Dice) -> Sentence:
    """Draws "the lamp costs forty-two euros" or "the boy is twelve years old"."""
    return Sentence(draw_price(dice) if dice.chance(0.6) else draw_age(dice))


def draw_whereabouts(dice: Dice) -> Sentence:
    """Draws "there is a lamp in the kitchen" or "the book is lying on the table"."""
    return Sentence(draw_existence(dice) if dice.chance(0.4) else draw_rest(dice))


KINDS: dict[Callable[[Dice], Sentence], int] = {
    draw_statement: 28,
    draw_passive_statement: 5,
    draw_question: 6,
    draw_wh_question: 8,
    draw_request: 3,
    draw_state: 5,
    draw_measure: 3,
    draw_whereabouts: 5,
    draw_reason: 8,
    draw_condition: 8,
    draw_report: 8,
    draw_relative: 9,
    draw_infinitive: 4,
    draw_purpose: 3,
    draw_coordination: 5,
}
