"""Draws clauses about actions: a verb, its subject and objects, tense, modal verb, negation, time."""

from dataclasses import replace

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_adverbials import PAST, draw_city, draw_direction, draw_place, draw_spot, draw_time
from tfmr.data.corpora.grammar.draw_phrases import draw_noun_phrase, draw_object, draw_person
from tfmr.data.corpora.grammar.lexicon import SUDDEN, UNWANTED, VERBS
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    EnglishVerb,
    GermanVerb,
    Modal,
    Phrase,
    Preposition,
    Prepositional,
    Verb,
)

TENSES = {"present": 30, "progressive": 16, "past": 28, "perfect": 9, "future": 17}

ACTIONS = {
    "transitive": 40, "dative": 9, "ditransitive": 11, "prepositional": 9, "intransitive": 8, "motion": 8,
    "travel": 3, "placement": 5,
}  # fmt: skip
FRAMES = ACTIONS | {"stative": 11, "please": 6}
# Verbs that can be used with a place.
WITH_PLACE = ("eat", "drink", "read", "write", "meet", "call", "sleep", "work", "sing", "laugh", "wait", "dance")
BY = Preposition("by", "von", "dative")


def _modal(base: str, past: str, german: str, link: str = "", *, auxiliary: bool = False) -> Modal:
    return Modal(EnglishVerb(base, past, "", auxiliary), GermanVerb(german, "", ""), link)


CAN = _modal("can", "", "können", auxiliary=True)
MUST = _modal("must", "", "müssen", auxiliary=True)
SHOULD = _modal("should", "", "sollen", auxiliary=True)
WOULD_LIKE = _modal("would", "", "mögen", "like to", auxiliary=True)
WANT = _modal("want", "wanted", "wollen", "to")
HAVE_TO = _modal("have", "had", "müssen", "to")
BE_ALLOWED = _modal("be", "was", "dürfen", "allowed to", auxiliary=True)
LIKE_TO = Modal(EnglishVerb("like", "liked", ""), None, "to")

PRESENT_MODALS = (CAN, MUST, SHOULD, WOULD_LIKE, WANT, HAVE_TO, BE_ALLOWED)
# "Must not" means darf nicht, not muss nicht, so it is not used.
NEGATED_MODALS = (CAN, SHOULD, WANT, HAVE_TO, BE_ALLOWED)
PAST_MODALS = (WANT, HAVE_TO, BE_ALLOWED)


def draw_clause(
    dice: Dice,
    *,
    frame: str = "",
    tense: str = "",
    subject: Phrase | None = None,
    short: bool = False,
    plain: bool = False,
) -> Clause:
    """Draws a statement.

    Frame, tense and subject are drawn unless they are given. A short statement has no time or place, and its subject no
    adjective; a plain one has no modal verb and no negation.
    """
    frame = frame or dice.weighted(FRAMES)
    verb = dice.pick(VERBS[frame])
    tense = fitting_tense(tense or dice.weighted(TENSES), verb)
    negated = not plain and dice.chance(0.15)
    if subject is None:
        subject = draw_person(dice, definite=negated, simple=short)
    clause = _with_objects(dice, Clause(subject, verb, tense, negated=negated), frame)
    if not plain:
        clause = _with_modal(dice, clause, frame)
    return clause if short else _with_time_and_place(dice, clause)


def fitting_tense(tense: str, verb: Verb) -> str:
    """Returns the tense, or the nearest one in which the verb is common and its form unambiguous."""
    if verb.stative and tense not in ("present", "past"):
        return "past" if tense == "perfect" else "present"
    if tense == "progressive" and verb.english.base in SUDDEN:
        return "present"
    if tense == "past" and verb.english.past == verb.english.base:
        return "perfect"  # "they read" may be present or past
    return tense


def _with_objects(dice: Dice, clause: Clause, frame: str) -> Clause:
    kinds, subject, negated = clause.verb.kinds, clause.subject, clause.negated
    if frame in ("transitive", "stative"):
        definite = negated and dice.chance(0.5)
        return replace(clause, accusative=draw_object(dice, kinds, subject, definite=definite, simple=negated))
    if frame == "please":
        return replace(clause, accusative=draw_noun_phrase(dice, kinds, definite=True))
    if frame == "dative":
        return replace(clause, dative=draw_object(dice, kinds, subject, definite=negated, simple=negated))
    if frame == "ditransitive":
        receiver = draw_object(dice, ("person",), subject, definite=True, simple=True)
        given = draw_noun_phrase(dice, kinds, simple=negated)
        return replace(clause, dative=receiver, accusative=given, to_dative=dice.chance(0.5))
    if frame == "prepositional" and clause.verb.preposition is not None:
        part = draw_object(dice, kinds, subject, definite=negated, simple=negated)
        return replace(clause, complement=Prepositional(clause.verb.preposition, part))
    if frame == "motion":
        return replace(clause, complement=draw_direction(dice, by_car=clause.verb.english.base == "drive"))
    if frame == "travel":
        return replace(clause, complement=draw_city(dice))
    if frame == "placement":
        thing = draw_noun_phrase(dice, kinds, definite=negated)
        return replace(clause, accusative=thing, complement=draw_spot(dice, "accusative"))
    return clause


def _with_modal(dice: Dice, clause: Clause, frame: str) -> Clause:
    if clause.verb.stative or not dice.chance(0.2):
        return clause
    if clause.tense in ("past", "perfect"):
        return replace(clause, modal=dice.pick(PAST_MODALS), tense="past")
    is_pleasant = frame in ("transitive", "intransitive", "dative") and clause.verb.english.base not in UNWANTED
    if clause.tense == "present" and is_pleasant and dice.chance(0.4):
        return replace(clause, modal=LIKE_TO)
    return replace(clause, modal=dice.pick(NEGATED_MODALS if clause.negated else PRESENT_MODALS), tense="present")


def _with_time_and_place(dice: Dice, clause: Clause) -> Clause:
    if clause.verb.english.base in WITH_PLACE and clause.complement is None and dice.chance(0.4):
        clause = replace(clause, place=draw_place(dice))
        if dice.chance(0.15):
            return replace(clause, front="place")
    likes_to = clause.modal is not None and clause.modal.german is None
    if likes_to or (clause.verb.stative and clause.tense == "present") or dice.chance(0.35):
        return clause
    # With can and must, the time is in the future: she must leave tomorrow.
    ahead = clause.modal is not None and clause.tense == "present"
    time = draw_time(dice, "future" if ahead else clause.tense, negated=clause.negated)
    if clause.verb.stative:
        time = dice.pick(PAST[:2])  # a clock time is too short for a state
    in_front = time is not None and not time.middle and dice.chance(0.55)
    return replace(clause, time=time, front="time" if in_front else "subject")


def draw_intention(dice: Dice, subject: Phrase, frames: tuple[str, ...]) -> Clause:
    """Draws something that somebody wants to do or is asked to do."""
    while True:
        clause = draw_clause(dice, frame=dice.pick(frames), tense="present", subject=subject, short=True, plain=True)
        if clause.verb.english.base not in UNWANTED:
            return clause


def draw_passive(dice: Dice) -> Clause:
    """Draws a passive clause such as "the book was written by the man", with the agent after by or von."""
    verb = dice.pick(VERBS["transitive"])
    tense = dice.weighted({"present": 5, "past": 7, "perfect": 2, "future": 3})
    modal = dice.pick((CAN, MUST, SHOULD)) if tense == "present" and dice.chance(0.35) else None
    subject = draw_noun_phrase(dice, verb.kinds, definite=True)
    clause = Clause(subject, verb, tense, passive=True, modal=modal)
    if dice.chance(0.55):
        agent = draw_person(dice, definite=True, pronouns=False)
        clause = replace(clause, complement=Prepositional(BY, agent))
    elif modal is None and dice.chance(0.3):
        clause = replace(clause, negated=True)
    return _with_time_and_place(dice, clause)
