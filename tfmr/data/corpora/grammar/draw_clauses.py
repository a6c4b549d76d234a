"""Draws clauses at random: a verb of some frame, its subject and objects, tense, negation, time."""

from dataclasses import replace

from tfmr.data.corpora.grammar import lexicon_verbs
from tfmr.data.corpora.grammar.draw_phrases import (
    BY,
    Dice,
    draw_city,
    draw_direction,
    draw_noun_phrase,
    draw_person,
    draw_place,
    draw_spot,
    draw_time,
)
from tfmr.data.corpora.grammar.entries import EnglishVerb, GermanVerb, Verb
from tfmr.data.corpora.grammar.meaning import Clause, Modal, Phrase, Prepositional, Pronoun

TENSES = {"present": 30, "progressive": 16, "past": 28, "perfect": 9, "future": 17}


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

# "must not" is not "muss nicht" but "darf nicht": it is left out.
PRESENT_MODALS = (CAN, MUST, SHOULD, WOULD_LIKE, WANT, HAVE_TO, BE_ALLOWED)
NEGATED_MODALS = (CAN, SHOULD, WANT, HAVE_TO, BE_ALLOWED)
PAST_MODALS = (WANT, HAVE_TO, BE_ALLOWED)

FRAMES = {
    "transitive": 40, "stative": 11, "dative": 9, "ditransitive": 11, "prepositional": 9, "intransitive": 9,
    "motion": 8, "travel": 3, "placement": 4, "please": 5,
}  # fmt: skip
VERBS = {
    "transitive": lexicon_verbs.TRANSITIVE, "stative": lexicon_verbs.STATIVE, "dative": lexicon_verbs.DATIVE,
    "ditransitive": lexicon_verbs.DITRANSITIVE, "prepositional": lexicon_verbs.PREPOSITIONAL,
    "intransitive": lexicon_verbs.INTRANSITIVE, "motion": lexicon_verbs.MOTION, "travel": lexicon_verbs.TRAVEL,
    "placement": lexicon_verbs.PLACEMENT, "please": [lexicon_verbs.PLEASE],
}  # fmt: skip
WITH_PLACE = ("eat", "drink", "read", "write", "meet", "call", "sleep", "work", "sing", "sit", "wait", "play", "dance")


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

    frame, tense, subject: if given, these; short: no times or places, few
    adjectives; plain: neither modal nor negation.
    """
    frame = frame or dice.weighted(FRAMES)
    verb = dice.pick(VERBS[frame])
    tense = fitting_tense(tense or dice.weighted(TENSES), verb)
    negated = not plain and dice.chance(0.13)
    if subject is None:
        subject = draw_person(dice, definite=negated, simple=short)
    clause = Clause(subject, verb, tense, negated=negated)
    clause = _with_objects(dice, clause, frame, short)
    if not plain:
        clause = _with_modal(dice, clause, frame)
    return clause if short else _with_time_and_place(dice, clause)


def fitting_tense(tense: str, verb: Verb) -> str:
    """Returns the tense, or a near one in which the English verb can stand without being mistaken for another."""
    if verb.stative and tense in ("progressive", "perfect"):
        return "present" if tense == "progressive" else "past"
    if tense == "past" and verb.english.past == verb.english.base:
        return "perfect"  # they read: now or then?
    return tense


def _with_objects(dice: Dice, clause: Clause, frame: str, short: bool) -> Clause:
    kinds = clause.verb.kinds
    if frame == "transitive" or frame == "stative":
        return replace(clause, accusative=draw_object(dice, kinds, clause, short))
    if frame == "please":
        return replace(clause, accusative=draw_noun_phrase(dice, kinds, definite=True, simple=short))
    if frame == "dative":
        return replace(clause, dative=draw_object(dice, kinds, clause, True))
    if frame == "ditransitive":
        dative = draw_person(dice, definite=True, simple=True)
        accusative = draw_noun_phrase(dice, kinds, simple=short or clause.negated)
        return replace(clause, dative=dative, accusative=accusative, to_dative=dice.chance(0.5))
    if frame == "prepositional" and clause.verb.preposition is not None:
        wanted = draw_object(dice, kinds, replace(clause, negated=False), True)
        return replace(clause, complement=Prepositional(clause.verb.preposition, wanted))
    if frame == "motion":
        return replace(clause, complement=draw_direction(dice))
    if frame == "travel":
        return replace(clause, complement=draw_city(dice))
    if frame == "placement":
        wanted = draw_noun_phrase(dice, kinds, definite=clause.negated, simple=True)
        return replace(clause, accusative=wanted, complement=draw_spot(dice, "accusative"))
    return clause


def draw_object(dice: Dice, kinds: tuple[str, ...], clause: Clause, simple: bool) -> Phrase:
    """Draws an object of these kinds; people also by name or pronoun, but not the pronoun of the subject."""
    if kinds[0] == "person" and dice.chance(0.45):
        taken = _same_people(clause.subject)
        if dice.chance(0.5):
            return Pronoun(dice.pick([word for word in ("I", "you", "he", "she", "we", "they") if word not in taken]))
        return draw_person(dice, definite=True, simple=True, pronouns=False)
    return draw_noun_phrase(dice, kinds, definite=clause.negated and dice.chance(0.6), simple=simple or clause.negated)


def _same_people(subject: Phrase) -> tuple[str, ...]:
    """Returns the pronouns that would need a reflexive after this subject: I see myself, I see us."""
    if isinstance(subject, Pronoun):
        return {"I": ("I", "we"), "we": ("I", "we"), "you": ("you",)}.get(subject.english, (subject.english,))
    return ()


def _with_modal(dice: Dice, clause: Clause, frame: str) -> Clause:
    if clause.verb.stative or not dice.chance(0.2):
        return clause
    if clause.tense == "past" or clause.tense == "perfect":
        return replace(clause, modal=dice.pick(PAST_MODALS), tense="past")
    if dice.chance(0.25) and clause.tense == "present" and frame in ("transitive", "intransitive", "dative"):
        return replace(clause, modal=LIKE_TO)
    return replace(clause, modal=dice.pick(NEGATED_MODALS if clause.negated else PRESENT_MODALS), tense="present")


def _with_time_and_place(dice: Dice, clause: Clause) -> Clause:
    if clause.verb.english.base in WITH_PLACE and clause.complement is None and dice.chance(0.35):
        clause = replace(clause, place=draw_place(dice))
        if dice.chance(0.15):
            return replace(clause, front="place")
    if dice.chance(0.45):
        return clause
    tense = clause.tense
    if clause.modal is not None and tense == "present":
        tense = "future"  # must leave tomorrow
    if (clause.modal is not None and clause.modal.german is None) or (clause.verb.stative and tense == "present"):
        return clause
    time = draw_time(dice, tense, negated=clause.negated)
    in_front = clause.front == "subject" and time is not None and not time.middle and dice.chance(0.6)
    return replace(clause, time=time, front="time" if in_front else clause.front)


def draw_passive(dice: Dice) -> Clause:
    """Draws a passive clause: the object becomes the subject, who does it follows by and von."""
    verb = dice.pick(lexicon_verbs.TRANSITIVE)
    tense = dice.weighted({"present": 5, "past": 7, "perfect": 2, "future": 3})
    subject = draw_noun_phrase(dice, verb.kinds, definite=True)
    agent = draw_person(dice, definite=True, simple=True, pronouns=False) if dice.chance(0.55) else None
    modal = dice.pick((CAN, MUST, SHOULD)) if tense == "present" and dice.chance(0.35) else None
    clause = Clause(subject, verb, tense, passive=True, modal=modal)
    if agent is not None:
        clause = replace(clause, complement=Prepositional(BY, agent))
    elif modal is not CAN and modal is not MUST and dice.chance(0.3):
        clause = replace(clause, negated=modal is None)
    return _with_time_and_place(dice, clause)
