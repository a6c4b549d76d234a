"""Draws sentences: statements, questions, and sentences of two clauses. `KINDS` gives the frequency of each kind."""

from collections.abc import Callable
from dataclasses import replace

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_adverbials import PAST
from tfmr.data.corpora.grammar.draw_clauses import (
    ACTIONS,
    WITH_PLACE,
    draw_clause,
    draw_intention,
    draw_passive,
    fitting_tense,
)
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
from tfmr.data.corpora.grammar.draw_states import draw_age, draw_description, draw_existence, draw_price, draw_rest
from tfmr.data.corpora.grammar.lexicon import VERBS
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Fixed,
    Interrogative,
    Name,
    NounPhrase,
    Phrase,
    Prepositional,
    Pronoun,
    Relative,
    Sentence,
    Subordinate,
    Verb,
)

REQUESTED = ("transitive", "transitive", "dative", "ditransitive", "motion", "placement")
WHO = Interrogative("who")
# The part that a question asks for, and the frame of the verbs that have this part.
ASKED = {"subject": 5, "accusative": 6, "dative": 2, "complement": 2, "time": 6, "place": 2, "direction": 2}
ASKED_FRAMES = {"accusative": "transitive", "dative": "dative", "complement": "prepositional", "direction": "motion"}
IT = Pronoun("it")
AND, BUT = Fixed("and", "und"), Fixed("but", "aber")
RELATIVE_TENSES = ("present", "past", "perfect")


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
    clause = draw_clause(dice)
    return Sentence(replace(_without_i(clause), front="subject", negated=False), "question")


def draw_wh_question(dice: Dice) -> Sentence:
    """Draws a question such as "what does the man read?"."""
    return Sentence(draw_asking_clause(dice), "question")


def draw_asking_clause(dice: Dice) -> Clause:
    """Draws a clause that starts with a question word."""
    asked = dice.weighted(ASKED)
    if asked == "subject":
        return replace(draw_clause(dice, subject=WHO, plain=True), front="subject")
    clause = _without_i(draw_clause(dice, frame=ASKED_FRAMES.get(asked, ""), plain=True, short=dice.chance(0.7)))
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
        return Clause(IT, dice.pick(VERBS["weather"]), tense)
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
    verb = dice.pick(VERBS["say"])
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
    verbs = [verb for verb in VERBS["transitive"] if takes(verb, head.noun) and verb != done]
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
    return Sentence(Clause(subject, dice.pick(VERBS["try"]), dice.pick(("present", "past")), after=after))


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
        verbs = [verb for verb in VERBS["transitive"] if takes(verb, thing.noun) and verb != first.verb]
        if verbs:
            verb = dice.pick(verbs)
            second = replace(second, verb=verb, tense=fitting_tense(tense, verb), accusative=it_for(thing))
    return Sentence(first, conjunction=dice.pick((AND, BUT)), second=second)


def _draw_actor(dice: Dice) -> Name | NounPhrase:
    person = draw_person(dice, definite=True, simple=True, pronouns=False)
    assert isinstance(person, Name | NounPhrase)
    return person


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
