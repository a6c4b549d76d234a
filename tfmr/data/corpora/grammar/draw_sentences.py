"""Draws whole sentences: statements, questions, and clauses within clauses."""

from collections.abc import Callable
from dataclasses import replace

from tfmr.data.corpora.grammar import lexicon_nouns, lexicon_verbs
from tfmr.data.corpora.grammar.draw_clauses import VERBS, draw_clause, draw_object, draw_passive, fitting_tense
from tfmr.data.corpora.grammar.draw_phrases import (
    IN,
    Dice,
    adjectives_of,
    draw_count,
    draw_location,
    draw_name,
    draw_noun_phrase,
    draw_person,
    draw_spot,
    draw_time,
)
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
from tfmr.data.corpora.grammar.numbers import english_number, german_number

IT = Pronoun("it")
AND, BUT = Fixed("and", "und"), Fixed("but", "aber")
DEGREES = (("", ""), ("very ", "sehr "), ("too ", "zu "))


def draw_sentence(dice: Dice) -> Sentence:
    """Draws a sentence of any kind."""
    return dice.weighted(KINDS)(dice)


def draw_statement(dice: Dice) -> Sentence:
    """Today the man must read the book."""
    return Sentence(draw_clause(dice))


def draw_passive_statement(dice: Dice) -> Sentence:
    """The book was read by the man."""
    return Sentence(draw_passive(dice))


def draw_question(dice: Dice) -> Sentence:
    """Does the man read the book?"""
    clause = draw_clause(dice)
    return Sentence(replace(clause, front="subject", negated=False), question=True)


def draw_wh_question(dice: Dice) -> Sentence:
    """What does the man read?"""
    return Sentence(draw_asking_clause(dice), question=True)


def draw_asking_clause(dice: Dice) -> Clause:
    """Draws a clause that begins with a question word."""
    asked = dice.weighted({"subject": 5, "accusative": 6, "dative": 2, "complement": 3, "time": 6, "place": 3})
    if asked == "subject":
        return replace(draw_clause(dice, subject=Interrogative("who"), plain=True), front="subject")
    frame = {"accusative": "transitive", "dative": "dative", "complement": "prepositional", "place": "motion"}.get(
        asked
    )
    clause = draw_clause(dice, frame=frame or "", plain=True)
    clause = replace(clause, front=asked)
    if asked == "accusative":
        return replace(clause, accusative=_draw_asked_object(dice, clause), time=None)
    if asked == "dative":
        return replace(clause, dative=Interrogative("who"))
    if asked == "complement" and isinstance(clause.complement, Prepositional):
        return replace(clause, complement=Prepositional(clause.complement.preposition, Interrogative("who")))
    if asked == "place":
        return replace(clause, complement=Fixed("where", "wohin"), front="complement")
    return replace(clause, time=Fixed(*dice.pick((("when", "wann"), ("why", "warum")))))


def _draw_asked_object(dice: Dice, clause: Clause) -> Phrase:
    kinds = clause.verb.kinds
    choice = dice.weighted({"word": 4, "which": 3, "how many": 2})
    if choice == "word" or kinds == ("drink",):
        return Interrogative("who" if kinds[0] == "person" else "what")
    wanted = draw_noun_phrase(dice, kinds, simple=True, countable=True)
    return NounPhrase(wanted.noun, choice, plural=choice == "how many")


def draw_predicate_clause(dice: Dice, subject: Phrase | None = None, kind: str = "", tense: str = "") -> Clause:
    """Draws the house is very old; the man is older than the woman."""
    if subject is None:
        kinds = ("person", "animal", "vehicle", "building", "text", "clothes", "furniture", "thing", "room", "cooked")
        subject = draw_noun_phrase(dice, (dice.pick(kinds),), definite=True)
        subject = replace(subject, adjectives=())
        kind = subject.noun.kind
    tense = tense or dice.weighted({"present": 6, "past": 3})
    negated = dice.chance(0.15)
    if adjectives_of(kind, comparable=True) and dice.chance(0.25):
        complement = Comparison(dice.pick(adjectives_of(kind, comparable=True)), _draw_standard(dice, kind))
    else:
        english, german = dice.pick(DEGREES)
        adjective = dice.pick(adjectives_of(kind))
        complement = Fixed(english + adjective.english, german + adjective.german)
    return Clause(subject, lexicon_verbs.BE, tense, complement=complement, negated=negated)


def _draw_standard(dice: Dice, kind: str) -> Phrase:
    if kind == "person" and dice.chance(0.5):
        return draw_name(dice)
    return draw_noun_phrase(dice, (kind,), definite=True, simple=True)


def draw_predicate(dice: Dice) -> Sentence:
    """The house is old. Is the house old?"""
    clause = draw_predicate_clause(dice)
    if not clause.negated and dice.chance(0.15):
        return Sentence(clause, question=True)
    if clause.tense == "past" and isinstance(clause.complement, Fixed) and dice.chance(0.3):
        return Sentence(replace(clause, time=draw_time(dice, "past"), front="time"))
    return Sentence(clause)


def draw_measure(dice: Dice) -> Sentence:
    """The lamp costs forty-two euros. My brother is forty-two years old."""
    count = draw_count(dice)
    if dice.chance(0.6):
        subject = draw_noun_phrase(dice, ("thing", "device", "clothes", "furniture", "container"), definite=True)
        price = Fixed(f"{english_number(count)} euros", f"{german_number(count)} Euro")
        return Sentence(Clause(replace(subject, owner=None, determiner="this"), lexicon_verbs.COST, complement=price))
    count = 2 + count % 98
    age = Fixed(f"{english_number(count)} years old", f"{german_number(count)} Jahre alt")
    return Sentence(Clause(draw_person(dice, definite=True, simple=True), lexicon_verbs.BE, complement=age))


def draw_existence(dice: Dice) -> Sentence:
    """There are two museums in the city: in der Stadt gibt es zwei Museen."""
    thing, place = dice.pick(
        (
            (("building",), ("city", "village")),
            (("furniture", "device"), ("room",)),
            (("person",), ("building", "park")),
        )
    )
    found = draw_noun_phrase(dice, thing, countable=True)
    determiner = ("many" if found.plural else "a") if not found.count else ""
    found = replace(found, determiner="no" if dice.chance(0.15) else determiner, owner=None)
    if found.determiner == "no":
        found = replace(found, count=0)
    where = Prepositional(IN, draw_location(dice, place))
    return Sentence(Clause(IT, lexicon_verbs.EXIST, accusative=found, place=where, front="place"))


def draw_rest(dice: Dice) -> Sentence:
    """The book is lying on the table."""
    verb = dice.pick(lexicon_verbs.REST)
    subject = draw_noun_phrase(dice, verb.kinds)
    tense = dice.pick(("progressive", "past"))
    clause = Clause(subject, verb, tense, place=draw_spot(dice, "dative"))
    return Sentence(replace(clause, front="place") if dice.chance(0.3) else clause)


def draw_reason(dice: Dice) -> Sentence:
    """The man is sleeping because he is tired. Because the man is tired, he is sleeping."""
    conjunction = dice.pick((("because", "weil"), ("because", "weil"), ("although", "obwohl")))
    main = draw_clause(dice, short=True)
    tense = "past" if main.tense in ("past", "perfect") else "present"
    cause = _draw_circumstance(dice, main, tense)
    return _attach(dice, main, Subordinate(*conjunction, cause))


def draw_condition(dice: Dice) -> Sentence:
    """If it rains, the man will read a book. When the man reads, the woman sleeps."""
    if dice.chance(0.5):
        main, conjunction = draw_clause(dice, short=True, tense="future", plain=True), ("if", "wenn")
    else:
        main, conjunction = draw_clause(dice, short=True, tense="present"), ("when", "wenn")
    return _attach(dice, main, Subordinate(*conjunction, _draw_circumstance(dice, main, "present")))


def _draw_circumstance(dice: Dice, main: Clause, tense: str) -> Clause:
    """Draws a short clause: the weather, a state of the subject, something else that happens."""
    subject = pronoun_for(main.subject)
    choice = dice.weighted({"weather": 1, "state": 3, "event": 6, "it": 3})
    if choice == "it" and isinstance(main.accusative, NounPhrase) and adjectives_of(main.accusative.noun.kind):
        thing = main.accusative
        if thing.noun.kind != "person":
            pronoun = Pronoun("they") if thing.plural else Pronoun("it", thing.noun.gender)
            return draw_predicate_clause(dice, pronoun, thing.noun.kind, tense)
    if choice == "weather":
        verb = dice.pick((lexicon_verbs.RAIN, lexicon_verbs.SNOW))
        return Clause(IT, verb, tense)
    if choice == "state":
        return draw_predicate_clause(dice, subject or draw_person(dice, definite=True, simple=True), "person", tense)
    if subject is not None and dice.chance(0.5):
        return draw_clause(dice, short=True, tense=tense, subject=subject)
    return draw_clause(dice, short=True, tense=tense)


def _attach(dice: Dice, main: Clause, dependent: Subordinate) -> Sentence:
    """Puts the dependent clause after the main one or, if it points to nothing in it, before."""
    points_back = isinstance(dependent.clause.subject, Pronoun) and dependent.clause.subject != IT
    if not points_back and dice.chance(0.4):
        return Sentence(replace(main, before=dependent))
    return Sentence(replace(main, after=dependent))


def pronoun_for(person: Phrase) -> Pronoun | None:
    """Returns the pronoun that takes up this person; None where English leaves it open (a child)."""
    if isinstance(person, Pronoun):
        return person
    if isinstance(person, Name):
        return Pronoun("he" if person.gender == "m" else "she")
    if isinstance(person, Pair) or (isinstance(person, NounPhrase) and person.plural):
        return Pronoun("they")
    if isinstance(person, NounPhrase) and person.noun not in lexicon_nouns.CHILDREN:
        return Pronoun("he" if person.noun.gender == "m" else "she")
    return None


def draw_report(dice: Dice) -> Sentence:
    """The woman says that the man has bought a car. She asks what he has bought."""
    verb = dice.pick(lexicon_verbs.SAY)
    tense = dice.pick(("present", "past")) if verb.english.base in ("say", "ask") else "present"
    subject = draw_person(dice, definite=True, simple=True)
    kind = dice.pick(verb.kinds)
    if kind == "whether" and dice.chance(0.5):
        content = Subordinate("", "", draw_asking_clause(dice))
    else:
        words = ("that", "dass") if kind == "that" else ("whether", "ob")
        content = Subordinate(*words, _draw_content(dice))
    return Sentence(Clause(subject, verb, tense, after=content))


def _draw_content(dice: Dice) -> Clause:
    clause = draw_predicate_clause(dice) if dice.chance(0.2) else draw_clause(dice, short=dice.chance(0.6))
    return replace(clause, front="subject")


def draw_relative(dice: Dice) -> Sentence:
    """The man who has bought the car sees the woman. The man sees the car that the woman has bought."""
    if dice.chance(0.5):
        subject = draw_noun_phrase(dice, ("person",), simple=True)
        subject = replace(subject, determiner="the", relative=draw_relative_clause(dice, subject))
        return Sentence(draw_clause(dice, short=True, subject=subject))
    clause = draw_clause(dice, short=True, frame="transitive")
    if isinstance(clause.accusative, NounPhrase) and not clause.negated:
        thing = replace(clause.accusative, adjectives=(), owner=None)
        if thing.determiner == "" and not thing.count:
            thing = replace(thing, determiner="the")
        clause = replace(clause, accusative=replace(thing, relative=draw_relative_clause(dice, thing)))
    return Sentence(clause)


def draw_relative_clause(dice: Dice, head: NounPhrase) -> Clause:
    """Draws a clause about the head: that is old; that the woman has bought; whom the woman helps."""
    person = head.noun.kind == "person"
    relative = Relative(head.noun.gender, head.plural, person)
    if not person:
        if adjectives_of(head.noun.kind) and dice.chance(0.3):
            return replace(draw_predicate_clause(dice, relative, head.noun.kind), front="subject")
        verbs = [verb for verb in lexicon_verbs.TRANSITIVE if head.noun.kind in verb.kinds]
        verb = dice.pick(verbs)
        tense = fitting_tense(dice.pick(("present", "past", "perfect")), verb)
        owner = draw_person(dice, definite=True, simple=True)
        return Clause(owner, verb, tense, accusative=relative, front="accusative")
    role = dice.weighted({"subject": 5, "accusative": 3, "dative": 2, "complement": 2})
    if role == "subject":
        return draw_clause(dice, short=True, subject=relative, plain=True)
    frames = {"accusative": "transitive", "dative": "dative", "complement": "prepositional"}
    verb = dice.pick([verb for verb in VERBS[frames[role]] if "person" in verb.kinds])
    tense = fitting_tense(dice.pick(("present", "past", "perfect")), verb)
    clause = Clause(draw_person(dice, definite=True, simple=True), verb, tense, front=role)
    if role == "accusative":
        return replace(clause, accusative=relative)
    if role == "dative" or verb.preposition is None:
        return replace(clause, dative=relative)
    return replace(clause, complement=Prepositional(verb.preposition, relative))


def draw_infinitive(dice: Dice) -> Sentence:
    """The man tries to call the woman. The man works in order to buy a car."""
    goal = draw_clause(dice, short=True, plain=True, frame=dice.pick(("transitive", "transitive", "dative", "motion")))
    subject = draw_person(dice, definite=True, simple=True)
    if goal.accusative is not None:
        goal = replace(goal, accusative=draw_object(dice, goal.verb.kinds, replace(goal, subject=subject), True))
    if dice.chance(0.7):
        verb, tense = dice.pick(lexicon_verbs.TRY), dice.pick(("present", "past"))
        return Sentence(Clause(subject, verb, tense, after=Subordinate("", "", goal, infinitive=True)))
    frame = dice.pick(("motion", "travel", "transitive"))
    main = draw_clause(dice, short=True, subject=subject, frame=frame)
    return Sentence(replace(main, after=Subordinate("in order", "um", goal, infinitive=True)))


def draw_coordination(dice: Dice) -> Sentence:
    """The man buys a lamp and the woman repairs it: er kauft eine Lampe und die Frau repariert sie."""
    tense = dice.pick(("present", "past", "future"))
    first = draw_clause(dice, short=True, plain=True, tense=tense, frame="transitive")
    second = draw_clause(dice, short=True, plain=True, tense=tense, frame="transitive")
    thing = first.accusative
    if isinstance(thing, NounPhrase) and thing.noun.kind != "person":
        verbs = [verb for verb in lexicon_verbs.TRANSITIVE if thing.noun.kind in verb.kinds and verb != first.verb]
        pronoun = Pronoun("they") if thing.plural else Pronoun("it", thing.noun.gender)
        if verbs:
            verb = dice.pick(verbs)
            second = replace(second, verb=verb, tense=fitting_tense(tense, verb), accusative=pronoun)
    return Sentence(first, conjunction=dice.pick((AND, BUT)), second=second)


KINDS: dict[Callable[[Dice], Sentence], float] = {
    draw_statement: 30,
    draw_passive_statement: 5,
    draw_question: 8,
    draw_wh_question: 9,
    draw_predicate: 6,
    draw_measure: 3,
    draw_existence: 3,
    draw_rest: 3,
    draw_reason: 8,
    draw_condition: 6,
    draw_report: 8,
    draw_relative: 9,
    draw_infinitive: 7,
    draw_coordination: 5,
}
