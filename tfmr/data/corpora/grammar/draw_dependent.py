"""Draws sentences with a dependent clause or two joined clauses."""

from dataclasses import replace

from tfmr.data.corpora.grammar import lexicon_verbs as lexicon
from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_clauses import ACTIONS, VERBS, draw_clause, draw_intention, fitting_tense
from tfmr.data.corpora.grammar.draw_phrases import (
    adjectives_of,
    draw_count,
    draw_noun,
    draw_person,
    is_describable,
    it_for,
    pronoun_for,
    takes,
)
from tfmr.data.corpora.grammar.draw_questions import draw_asking_clause
from tfmr.data.corpora.grammar.draw_states import draw_description
from tfmr.data.corpora.grammar.entries import Verb
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Fixed,
    Name,
    NounPhrase,
    Phrase,
    Prepositional,
    Pronoun,
    Relative,
    Sentence,
    Subordinate,
)

IT = Pronoun("it")
AND, BUT = Fixed("and", "und"), Fixed("but", "aber")
RELATIVE_TENSES = ("present", "past", "perfect")


def draw_reason(dice: Dice) -> Sentence:
    """Draws a sentence such as "the man is sleeping because he is tired"."""
    main = draw_clause(dice, short=True)
    tense = "past" if main.tense in ("past", "perfect") else "present"
    words = dice.pick((("because", "weil"), ("because", "weil"), ("although", "obwohl")))
    return _attach(dice, main, Subordinate(*words, _draw_circumstance(dice, main, tense)))


def draw_condition(dice: Dice) -> Sentence:
    """Draws "if it rains, the man will read", "she sleeps when the man reads" or "he reads while she is sleeping"."""
    words, tense, dependent_tense = dice.pick(
        (
            (("if", "wenn"), "future", "present"),
            (("when", "wenn"), "present", "present"),
            (("before", "bevor"), "future", "present"),
            (("while", "während"), "progressive", "progressive"),
        )
    )
    main = draw_clause(dice, frame=dice.weighted(ACTIONS), tense=tense, short=True, plain=True)
    if words[0] in ("if", "when"):
        clause = _draw_circumstance(dice, main, dependent_tense)
    else:
        clause = _draw_event(dice, main, dependent_tense)
    return _attach(dice, main, Subordinate(*words, clause))


def _draw_circumstance(dice: Dice, main: Clause, tense: str) -> Clause:
    """Draws a short clause: the weather, a mood of the subject, a state of the object, or another event."""
    choice, thing = dice.weighted({"weather": 1, "mood": 3, "event": 6, "it": 3}), main.accusative
    if choice == "it" and isinstance(thing, NounPhrase) and is_describable(thing):
        return draw_description(dice, it_for(thing), thing.noun.kind, tense)
    if choice == "weather":
        return Clause(IT, dice.pick((lexicon.RAIN, lexicon.SNOW)), tense)
    if choice == "mood":
        subject = pronoun_for(main.subject) or draw_person(dice, definite=True, simple=True)
        return draw_description(dice, subject, "mood", tense)
    return _draw_event(dice, main, tense)


def _draw_event(dice: Dice, main: Clause, tense: str) -> Clause:
    """Draws another event, often with the subject of the main clause."""
    subject = pronoun_for(main.subject) if dice.chance(0.5) else None
    return draw_clause(dice, frame=dice.weighted(ACTIONS), tense=tense, subject=subject, short=True, plain=True)


def _attach(dice: Dice, main: Clause, dependent: Subordinate) -> Sentence:
    """Puts the dependent clause after the main clause, or sometimes before it if it does not refer to it."""
    takes_up = isinstance(dependent.clause.subject, Pronoun) and dependent.clause.subject != IT
    if not takes_up and dice.chance(0.5):
        return Sentence(replace(main, before=dependent))
    return Sentence(replace(main, after=dependent))


def draw_report(dice: Dice) -> Sentence:
    """Draws "the woman says that the man has bought a car" or "she asks what he has bought"."""
    verb = dice.pick(lexicon.SAY)
    tense = dice.pick(("present", "past")) if verb.english.base in ("say", "ask") else "present"
    subject = draw_person(dice, definite=True, simple=True)
    kind = dice.pick(verb.kinds)
    if kind == "whether" and tense == "present" and dice.chance(0.5):
        content = Subordinate("", "", draw_asking_clause(dice))
    else:
        words = ("that", "dass") if kind == "that" else ("whether", "ob")
        clause = _draw_content(dice, subject, "past" if tense == "past" else "", plain=kind == "whether")
        content = Subordinate(*words, clause)
    return Sentence(Clause(subject, verb, tense, after=content))


def _draw_content(dice: Dice, speaker: Phrase, tense: str, *, plain: bool) -> Clause:
    if dice.chance(0.2):
        return draw_description(dice, tense=tense)
    subject = pronoun_for(speaker) if dice.chance(0.3) else None
    clause = draw_clause(dice, tense=tense, subject=subject, short=dice.chance(0.5), plain=plain)
    return replace(clause, front="subject")


def draw_relative(dice: Dice) -> Sentence:
    """Draws "the man who has bought the car sees the woman" or "the man sees the car that the woman has bought"."""
    if dice.chance(0.5):
        return Sentence(draw_clause(dice, subject=_draw_head(dice, ("person",)), short=True))
    clause = draw_clause(dice, frame="transitive", short=True, plain=True)
    return Sentence(replace(clause, accusative=_draw_head(dice, clause.verb.kinds, done=clause.verb)))


def _draw_head(dice: Dice, kinds: tuple[str, ...], done: Verb | None = None) -> NounPhrase:
    """Draws a noun phrase with a relative clause; `done` is the verb of the main clause, which is not repeated."""
    noun = draw_noun(dice, kinds)
    plural = bool(noun.german_plural) and dice.chance(0.25)
    choice = dice.weighted({"the": 8, "number": 1} if plural else {"the": 8, "a": 2 if noun.german_plural else 0})
    count = draw_count(dice) if choice == "number" else 0
    head = NounPhrase(noun, "" if count else choice, plural, count=count)
    clause = _draw_personal_clause(dice, head) if noun.kind == "person" else _draw_thing_clause(dice, head, done)
    return replace(head, relative=clause)


def _draw_thing_clause(dice: Dice, head: NounPhrase, done: Verb | None) -> Clause:
    """Draws a relative clause such as "that is old" or "that the woman has bought"."""
    relative = Relative(head.noun.gender, head.plural, person=False)
    verbs = [verb for verb in lexicon.TRANSITIVE if takes(verb, head.noun) and verb != done]
    if not verbs or (adjectives_of(head.noun.kind) and dice.chance(0.3)):
        return draw_description(dice, relative, head.noun.kind)
    verb = dice.pick(verbs)
    tense = fitting_tense(dice.pick(RELATIVE_TENSES), verb)
    subject = draw_person(dice, definite=True, simple=True)
    return Clause(subject, verb, tense, accusative=relative, front="accusative")


def _draw_personal_clause(dice: Dice, head: NounPhrase) -> Clause:
    """Draws a relative clause such as "who has bought the car", "whom the woman sees" or "with whom she talks"."""
    relative = Relative(head.noun.gender, head.plural, person=True)
    role = dice.weighted({"subject": 5, "accusative": 3, "dative": 2, "complement": 2})
    if role == "subject":
        return draw_clause(dice, subject=relative, short=True, plain=True)
    frame = {"accusative": "transitive", "dative": "dative", "complement": "prepositional"}[role]
    verb = dice.pick([verb for verb in VERBS[frame] if "person" in verb.kinds])
    tense = fitting_tense(dice.pick(RELATIVE_TENSES), verb)
    clause = Clause(draw_person(dice, definite=True, simple=True), verb, tense, front=role)
    if role == "accusative":
        return replace(clause, accusative=relative)
    if verb.preposition is None:
        return replace(clause, dative=relative)
    return replace(clause, complement=Prepositional(verb.preposition, relative))


def draw_infinitive(dice: Dice) -> Sentence:
    """Draws a sentence such as "the man tries to call the woman": er versucht, die Frau anzurufen."""
    subject = draw_person(dice, definite=True)
    goal = draw_intention(dice, subject, ("transitive", "transitive", "dative", "ditransitive", "motion"))
    after = Subordinate("", "", goal, infinitive=True)
    return Sentence(Clause(subject, dice.pick(lexicon.TRY), dice.pick(("present", "past")), after=after))


def draw_purpose(dice: Dice) -> Sentence:
    """Draws a sentence such as "the man goes to the bakery in order to buy bread": um Brot zu kaufen."""
    main = draw_clause(dice, frame=dice.pick(("motion", "travel")), short=True)
    goal = draw_intention(dice, main.subject, ("transitive", "dative"))
    return Sentence(replace(main, after=Subordinate("in order", "um", goal, infinitive=True)))


def draw_coordination(dice: Dice) -> Sentence:
    """Draws a sentence such as "the man buys a lamp and the woman repairs it": die Frau repariert sie."""
    tense = dice.pick(("present", "past", "future"))
    first, second = (
        draw_clause(dice, frame="transitive", tense=tense, short=True, plain=True, subject=_draw_actor(dice))
        for _ in range(2)
    )
    thing = first.accusative
    if isinstance(thing, NounPhrase) and thing.noun.kind != "person":
        verbs = [verb for verb in lexicon.TRANSITIVE if takes(verb, thing.noun) and verb != first.verb]
        if verbs:
            verb = dice.pick(verbs)
            second = replace(second, verb=verb, tense=fitting_tense(tense, verb), accusative=it_for(thing))
    return Sentence(first, conjunction=dice.pick((AND, BUT)), second=second)


def _draw_actor(dice: Dice) -> Name | NounPhrase:
    person = draw_person(dice, definite=True, simple=True, pronouns=False)
    assert isinstance(person, Name | NounPhrase)
    return person
