"""Draws adverbials: times that fit the tense, places, directions."""

from tfmr.data.corpora.grammar.dice import Dice
from tfmr.data.corpora.grammar.draw_phrases import POSSESSIVES, draw_adjectives, draw_noun
from tfmr.data.corpora.grammar.lexicon import CITIES, OWN
from tfmr.data.corpora.grammar.meaning import Fixed, Name, NounPhrase, Preposition, Prepositional
from tfmr.data.corpora.grammar.numbers import clock, english_number, english_year, german_number, german_year

WEEKDAYS = (
    ("Monday", "Montag"), ("Tuesday", "Dienstag"), ("Wednesday", "Mittwoch"), ("Thursday", "Donnerstag"),
    ("Friday", "Freitag"), ("Saturday", "Samstag"), ("Sunday", "Sonntag"),
)  # fmt: skip
HABITS = (
    Fixed("often", "oft", middle=True),
    Fixed("always", "immer", middle=True),
    Fixed("sometimes", "manchmal", middle=True),
    Fixed("usually", "meistens", middle=True),
    Fixed("every day", "jeden Tag"),
    Fixed("every week", "jede Woche"),
    Fixed("every year", "jedes Jahr"),
    Fixed("in the evening", "am Abend"),
    Fixed("in summer", "im Sommer"),
    *(Fixed(f"on {english}s", f"{german.lower()}s") for english, german in WEEKDAYS[:2]),
)
NOW = (Fixed("now", "jetzt"), Fixed("today", "heute"), Fixed("at the moment", "im Moment"))
RECENT = (Fixed("already", "schon", middle=True), Fixed("just", "gerade", middle=True))
DAYS = tuple(Fixed(f"on {english}", f"am {german}") for english, german in WEEKDAYS)
PAST_DAYS = (*[Fixed("yesterday", "gestern")] * 5, *DAYS)
FUTURE_DAYS = (*[Fixed("tomorrow", "morgen")] * 5, *DAYS)
PAST = (Fixed("last week", "letzte Woche"), Fixed("last year", "letztes Jahr"), Fixed("this morning", "heute Morgen"))
FUTURE = (Fixed("next week", "nächste Woche"), Fixed("next year", "nächstes Jahr"), Fixed("soon", "bald"))
# In the dative, which vor (ago) and in govern.
UNITS = (("days", "Tagen"), ("weeks", "Wochen"), ("months", "Monaten"), ("years", "Jahren"))

# Two-way prepositions take the dative for a location and the accusative for a destination.
TWO_WAY = (("on", "auf"), ("under", "unter"), ("next to", "neben"), ("behind", "hinter"), ("in front of", "vor"))
IN = Preposition("in", "in", "dative")
INTO = Preposition("into", "in", "accusative")
TO = Preposition("to", "zu", "dative")
TO_CITY = Preposition("to", "nach", "dative")


def draw_time(dice: Dice, tense: str, *, negated: bool = False) -> Fixed | None:
    """Draws a time that fits the tense; None if none does ("often not" or "not often"?)."""
    if tense in ("present", "perfect"):
        return None if negated else dice.pick(HABITS if tense == "present" else RECENT)
    if tense == "progressive":
        return dice.pick(NOW)
    kind = dice.weighted({"day": 40, "span": 14, "other": 20, "clock": 9, "day and clock": 9, "year": 8})
    if kind == "span":
        return _draw_span(dice, past=tense == "past")
    if kind == "year" and tense == "past":
        year = 1900 + dice.below(125)
        return Fixed(f"in the year {english_year(year)}", f"im Jahr {german_year(year)}")
    if kind == "other":
        return dice.pick(PAST if tense == "past" else FUTURE[:2] if negated else FUTURE)
    day = dice.pick(PAST_DAYS if tense == "past" else FUTURE_DAYS)
    if kind in ("day", "year"):
        return day
    english, german = clock(1 + dice.below(12), dice.below(4))
    if kind == "clock":
        return Fixed(english, german)
    return Fixed(f"{day.english} {english}", f"{day.german} {german}")


def _draw_span(dice: Dice, *, past: bool) -> Fixed:
    """Draws a time such as "three days ago" or "in three days"."""
    english_unit, german_unit = dice.pick(UNITS)
    count = 2 + dice.below(29)
    english, german = f"{english_number(count)} {english_unit}", f"{german_number(count)} {german_unit}"
    return Fixed(f"{english} ago", f"vor {german}") if past else Fixed(f"in {english}", f"in {german}")


def draw_place(dice: Dice) -> Prepositional | Fixed:
    """Draws the place where something happens."""
    if dice.chance(0.12):
        return Fixed("at home", "zu Hause")
    return Prepositional(IN, draw_location(dice, ("room", "building", "garden", "park")))


def draw_location(dice: Dice, kinds: tuple[str, ...]) -> NounPhrase:
    """Draws a phrase for a place, with the, a or my, and sometimes an adjective."""
    noun = draw_noun(dice, kinds)
    determiner = dice.pick(("the", "the", "the", "the", "the", "a", "a", "my"))
    if determiner == "my":
        determiner = dice.pick(POSSESSIVES) if noun.kind != "person" or noun.english in OWN else "the"
    return NounPhrase(noun, determiner, adjectives=draw_adjectives(dice, noun))


def draw_direction(dice: Dice, *, by_car: bool = False) -> Prepositional | Fixed:
    """Draws a destination: into takes the accusative, to takes the dative; by car only into large places."""
    kind = dice.weighted({"into": 4, "to": 4, "home": 1})
    if kind == "home":
        return Fixed("home", "nach Hause")
    if kind == "to":
        return Prepositional(TO, draw_location(dice, ("building", "doctor", "queen", "friend", "police officer")))
    inside = ("city", "village", "forest") if by_car else ("room", "building", "outdoors")
    return Prepositional(INTO, draw_location(dice, inside))


def draw_city(dice: Dice) -> Prepositional:
    """Draws a city or a country to travel to."""
    return Prepositional(TO_CITY, Name(*dice.pick(CITIES)))


def draw_spot(dice: Dice, case: str) -> Prepositional:
    """Draws a place on, under, behind, ... furniture, in the dative for a location or accusative for a destination."""
    english, german = dice.pick(TWO_WAY)
    return Prepositional(Preposition(english, german, case), draw_location(dice, ("furniture",)))
