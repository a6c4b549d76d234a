"""The grammar's German against forms and sentences that were written by hand."""

from dataclasses import replace

import pytest

from tfmr.data.corpora.grammar import german_words, numbers
from tfmr.data.corpora.grammar.draw_clauses import CAN, HAVE_TO, LIKE_TO, WANT
from tfmr.data.corpora.grammar.english import english
from tfmr.data.corpora.grammar.german import german, phrase
from tfmr.data.corpora.grammar.lexicon import ADJECTIVES, BASE_NOUNS, BE, COMPOUNDS, EXIST, PLEASE, VERBS
from tfmr.data.corpora.grammar.meaning import (
    Clause,
    Comparison,
    Fixed,
    Interrogative,
    Mood,
    Name,
    NounPhrase,
    Pair,
    Preposition,
    Prepositional,
    Pronoun,
    Relative,
    Sentence,
    Subordinate,
)

NOUNS = {noun.english: noun for noun in [*BASE_NOUNS, *COMPOUNDS]}
ADJECTIVE = {adjective.english: adjective for adjective in ADJECTIVES}


def verb(frame, base):
    return next(entry for entry in VERBS[frame] if entry.english.base == base)


def np(english_noun, determiner="the", *adjectives, **more):
    return NounPhrase(NOUNS[english_noun], determiner, adjectives=tuple(ADJECTIVE[a] for a in adjectives), **more)


def said(clause, mood: Mood = "statement"):
    sentence = clause if isinstance(clause, Sentence) else Sentence(clause, mood)
    return english(sentence), german(sentence)


# ---- Forms, from the tables of any German textbook ----

PARADIGMS = {
    # determiner: masculine, feminine, neuter and plural; each nominative, accusative, dative, genitive
    "the": (
        ("der alte Mann", "den alten Mann", "dem alten Mann", "des alten Mannes"),
        ("die alte Frau", "die alte Frau", "der alten Frau", "der alten Frau"),
        ("das alte Kind", "das alte Kind", "dem alten Kind", "des alten Kindes"),
        ("die alten Kinder", "die alten Kinder", "den alten Kindern", "der alten Kinder"),
    ),
    "my": (
        ("mein alter Mann", "meinen alten Mann", "meinem alten Mann", "meines alten Mannes"),
        ("meine alte Frau", "meine alte Frau", "meiner alten Frau", "meiner alten Frau"),
        ("mein altes Kind", "mein altes Kind", "meinem alten Kind", "meines alten Kindes"),
        ("meine alten Kinder", "meine alten Kinder", "meinen alten Kindern", "meiner alten Kinder"),
    ),
    "": (
        ("alter Mann", "alten Mann", "altem Mann", "alten Mannes"),
        ("alte Frau", "alte Frau", "alter Frau", "alter Frau"),
        ("altes Kind", "altes Kind", "altem Kind", "alten Kindes"),
        ("alte Kinder", "alte Kinder", "alten Kindern", "alter Kinder"),
    ),
    "this": (
        ("dieser alte Mann", "diesen alten Mann", "diesem alten Mann", "dieses alten Mannes"),
        ("diese alte Frau", "diese alte Frau", "dieser alten Frau", "dieser alten Frau"),
        ("dieses alte Kind", "dieses alte Kind", "diesem alten Kind", "dieses alten Kindes"),
        ("diese alten Kinder", "diese alten Kinder", "diesen alten Kindern", "dieser alten Kinder"),
    ),
}


@pytest.mark.parametrize("determiner", PARADIGMS)
def test_articles_adjectives_and_nouns_decline_as_in_the_textbook(determiner):
    for expected, noun, plural in zip(
        PARADIGMS[determiner], ("man", "woman", "child", "child"), (False, False, False, True), strict=True
    ):
        part = np(noun, determiner, "old", plural=plural)
        assert tuple(phrase(part, case) for case in german_words.CASES) == expected


@pytest.mark.parametrize(
    ("part", "forms"),
    [
        (np("student"), ("der Student", "den Studenten", "dem Studenten", "des Studenten")),
        (np("boy", "a"), ("ein Junge", "einen Jungen", "einem Jungen", "eines Jungen")),
        (np("house", "", plural=True), ("Häuser", "Häuser", "Häusern", "Häuser")),
        (np("car", "no", plural=True), ("keine Autos", "keine Autos", "keinen Autos", "keiner Autos")),
        (np("cup", "our", "expensive"), ("unsere teure Tasse", "unsere teure Tasse", "unserer teuren Tasse")),
        (np("cellar", "a", "dark"), ("ein dunkler Keller", "einen dunklen Keller", "einem dunklen Keller")),
        (np("book", "", count=21, plural=True), ("einundzwanzig Bücher",) * 2 + ("einundzwanzig Büchern",)),
        (
            np("car", "", "old", owner=Name("Anna", "Anna")),
            ("Annas altes Auto", "Annas altes Auto", "Annas altem Auto"),
        ),
        (np("dog", "", owner=np("father", "my")), ("der Hund meines Vaters", "den Hund meines Vaters")),
        (Pronoun("he"), ("er", "ihn", "ihm")),
        (Pronoun("they"), ("sie", "sie", "ihnen")),
        (Relative("m", False, True), ("der", "den", "dem", "dessen")),
        (Relative("f", True, True), ("die", "die", "denen", "deren")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_noun_phrases_and_pronouns_decline(part, forms):
    assert tuple(phrase(part, case) for case in german_words.CASES[: len(forms)]) == forms


@pytest.mark.parametrize(
    ("base", "frame", "forms", "command"),
    [
        ("read", "transitive", "lese liest liest lesen lesen", "lies"),
        ("eat", "transitive", "esse isst isst essen essen", "iss"),
        ("carry", "transitive", "trage trägst trägt tragen tragen", "trag"),
        ("wash", "transitive", "wasche wäschst wäscht waschen waschen", "wasch"),
        ("invite", "transitive", "lade lädst lädt laden laden", "lade"),
        ("find", "transitive", "finde findest findet finden finden", "finde"),
        ("feed", "transitive", "füttere fütterst füttert füttern füttern", "füttere"),
        ("repair", "transitive", "repariere reparierst repariert reparieren reparieren", "repariere"),
        ("give", "ditransitive", "gebe gibst gibt geben geben", "gib"),
        ("help", "dative", "helfe hilfst hilft helfen helfen", "hilf"),
        ("dance", "prepositional", "tanze tanzt tanzt tanzen tanzen", "tanz"),
        ("run", "motion", "laufe läufst läuft laufen laufen", "lauf"),
    ],
)
def test_verbs_conjugate(base, frame, forms, command):
    entry = verb(frame, base).german
    assert " ".join(german_words.present(entry, agreement) for agreement in ("1s", "2s", "3s", "1p", "3p")) == forms
    assert german_words.imperative(entry) == command


def test_auxiliaries_conjugate():
    bin_bist = [german_words.present(german_words.SEIN, agreement) for agreement in ("1s", "2s", "3s", "1p", "3p")]
    assert bin_bist == ["bin", "bist", "ist", "sind", "sind"]
    assert german_words.preterite(german_words.WERDEN, "3s") == "wurde"


@pytest.mark.parametrize(
    ("n", "english_words", "german_word"),
    [
        (1, "one", "eins"),
        (7, "seven", "sieben"),
        (12, "twelve", "zwölf"),
        (16, "sixteen", "sechzehn"),
        (17, "seventeen", "siebzehn"),
        (21, "twenty-one", "einundzwanzig"),
        (30, "thirty", "dreißig"),
        (42, "forty-two", "zweiundvierzig"),
        (76, "seventy-six", "sechsundsiebzig"),
        (100, "one hundred", "einhundert"),
        (101, "one hundred and one", "einhunderteins"),
        (217, "two hundred and seventeen", "zweihundertsiebzehn"),
        (999, "nine hundred and ninety-nine", "neunhundertneunundneunzig"),
        (1001, "one thousand and one", "eintausendeins"),
        (2024, "two thousand and twenty-four", "zweitausendvierundzwanzig"),
        (21_300, "twenty-one thousand three hundred", "einundzwanzigtausenddreihundert"),
    ],
)
def test_number_words(n, english_words, german_word):
    assert numbers.english_number(n) == english_words
    assert numbers.german_number(n) == german_word


def test_years_and_clock_times():
    assert numbers.english_year(1984) == "nineteen eighty-four"
    assert numbers.german_year(1984) == "neunzehnhundertvierundachtzig"
    assert numbers.english_year(1905) == "nineteen oh five"
    assert numbers.german_year(2024) == "zweitausendvierundzwanzig"
    assert numbers.clock(1, 0) == ("at one o'clock", "um ein Uhr")
    assert numbers.clock(6, 2) == ("at half past six", "um halb sieben")
    assert numbers.clock(12, 2) == ("at half past twelve", "um halb eins")
    assert numbers.clock(9, 3) == ("at a quarter to ten", "um Viertel vor zehn")


def test_compounds_have_linking_letters_and_the_gender_of_their_head():
    expected = {
        "apple juice": "der Apfelsaft",
        "kitchen table": "der Küchentisch",
        "history book": "das Geschichtsbuch",
        "orange juice bottle": "die Orangensaftflasche",
        "chicken soup": "die Hühnersuppe",
        "school door": "die Schultür",
    }
    assert {name: phrase(np(name), "nominative") for name in expected} == expected
    heads = {noun.german.lower(): noun.gender for noun in BASE_NOUNS}
    for noun in COMPOUNDS:
        head = max((head for head in heads if noun.german.endswith(head)), key=len, default=None)
        assert head is None or heads[head] == noun.gender, noun


def test_suffixes_decide_the_gender():
    # The rules that a learner is given; they know nothing of the lexicon.
    rules = {"chen": "n", "ung": "f", "in": "f", "schrift": "f", "ei": "f", "thek": "f", "ent": "m", "ist": "m"}
    exceptions = {"Ei", "Wein", "Kuchen"}
    for noun in BASE_NOUNS:
        for suffix, gender in rules.items():
            if noun.german.endswith(suffix) and noun.german not in exceptions:
                assert noun.gender == gender, noun


# ---- Sentences ----

MAN, WOMAN, ANNA = np("man"), np("woman"), Name("Anna", "Anna", "f")
IT, HE, WHO, WHAT = Pronoun("it"), Pronoun("he"), Interrogative("who"), Interrogative("what")
THAT = Relative("m", False, False)
YESTERDAY, TODAY = Fixed("yesterday", "gestern"), Fixed("today", "heute")
CALL, BUY, EAT, READ = (verb("transitive", base) for base in ("call", "buy", "eat", "read"))
HE_CALLS_ANNA = Clause(HE, CALL, accusative=ANNA)
INTO, IN = Preposition("into", "in", "accusative"), Preposition("in", "in", "dative")
ON_DATIVE, ON_ACCUSATIVE = Preposition("on", "auf", "dative"), Preposition("on", "auf", "accusative")


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (HE_CALLS_ANNA, "He calls Anna.", "Er ruft Anna an."),
        (replace(HE_CALLS_ANNA, tense="past"), "He called Anna.", "Er hat Anna angerufen."),
        (replace(HE_CALLS_ANNA, modal=CAN), "He can call Anna.", "Er kann Anna anrufen."),
        (replace(HE_CALLS_ANNA, tense="future"), "He will call Anna.", "Er wird Anna anrufen."),
        (
            Clause(WOMAN, verb("try", "try"), after=Subordinate("", "", replace(HE_CALLS_ANNA), infinitive=True)),
            "The woman tries to call Anna.",
            "Die Frau versucht, Anna anzurufen.",
        ),
        (
            Clause(WOMAN, verb("say", "say"), after=Subordinate("that", "dass", HE_CALLS_ANNA)),
            "The woman says that he calls Anna.",
            "Die Frau sagt, dass er Anna anruft.",
        ),
    ],
)
def test_separable_verbs_part_and_join(clause, expected_english, expected_german):
    assert said(clause) == (expected_english, expected_german)


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (
            Clause(MAN, BUY, "past", accusative=np("car", "a", "new"), time=YESTERDAY, front="time"),
            "Yesterday the man bought a new car.",
            "Gestern hat der Mann ein neues Auto gekauft.",
        ),
        (
            Clause(MAN, BUY, "past", accusative=np("car"), time=YESTERDAY),
            "The man bought the car yesterday.",
            "Der Mann hat das Auto gestern gekauft.",
        ),
        (
            Clause(MAN, READ, "progressive", accusative=np("book", "my"), place=Prepositional(IN, np("garden"))),
            "The man is reading my book in the garden.",
            "Der Mann liest mein Buch im Garten.",
        ),
        (
            Clause(WOMAN, BE, before=Subordinate("if", "wenn", HE_CALLS_ANNA), complement=Fixed("sad", "traurig")),
            "If he calls Anna, the woman is sad.",
            "Wenn er Anna anruft, ist die Frau traurig.",
        ),
        (
            Clause(IT, EXIST, accusative=np("bear", "a"), place=Prepositional(IN, np("forest")), front="place"),
            "In the forest there is a bear.",
            "Im Wald gibt es einen Bären.",
        ),
    ],
)
def test_the_finite_verb_stands_second(clause, expected_english, expected_german):
    assert said(clause) == (expected_english, expected_german)


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (
            Clause(
                MAN,
                verb("intransitive", "sleep"),
                "progressive",
                after=Subordinate("because", "weil", Clause(HE, BUY, "past", accusative=np("bed", "a"))),
            ),
            "The man is sleeping because he bought a bed.",
            "Der Mann schläft, weil er ein Bett gekauft hat.",
        ),
        (
            Clause(
                replace(MAN, relative=Clause(Relative("m", False, True), verb("dative", "help"), dative=WOMAN)),
                verb("intransitive", "work"),
                modal=HAVE_TO,
            ),
            "The man who helps the woman has to work.",
            "Der Mann, der der Frau hilft, muss arbeiten.",
        ),
        (
            Clause(
                ANNA,
                BUY,
                "past",
                accusative=replace(
                    np("cake"),
                    relative=Clause(
                        WOMAN,
                        verb("transitive", "bake"),
                        "past",
                        accusative=THAT,
                        front="accusative",
                    ),
                ),
            ),
            "Anna bought the cake that the woman baked.",
            "Anna hat den Kuchen gekauft, den die Frau gebacken hat.",
        ),
        (
            Clause(
                MAN,
                verb("say", "ask"),
                after=Subordinate("", "", Clause(ANNA, BUY, "past", accusative=WHAT, front="accusative")),
            ),
            "The man asks what Anna bought.",
            "Der Mann fragt, was Anna gekauft hat.",
        ),
    ],
)
def test_the_verb_of_a_dependent_clause_stands_last(clause, expected_english, expected_german):
    assert said(clause) == (expected_english, expected_german)


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (
            Clause(MAN, verb("ditransitive", "give"), "past", dative=WOMAN, accusative=np("letter", "a")),
            "The man gave the woman a letter.",
            "Der Mann hat der Frau einen Brief gegeben.",
        ),
        (
            Clause(MAN, verb("ditransitive", "give"), dative=WOMAN, accusative=Pronoun("it", "m"), to_dative=True),
            "The man gives it to the woman.",
            "Der Mann gibt ihn der Frau.",
        ),
        (
            Clause(Pronoun("I"), verb("dative", "follow"), "past", dative=Pronoun("they")),
            "I followed them.",
            "Ich bin ihnen gefolgt.",
        ),
        (
            Clause(MAN, verb("motion", "go"), complement=Prepositional(INTO, np("school"))),
            "The man goes into the school.",
            "Der Mann geht in die Schule.",
        ),
        (
            Clause(np("book"), verb("rest", "lie"), "progressive", place=Prepositional(ON_DATIVE, np("table"))),
            "The book is lying on the table.",
            "Das Buch liegt auf dem Tisch.",
        ),
        (
            Clause(ANNA, verb("placement", "lay"), accusative=np("book"),
                   complement=Prepositional(ON_ACCUSATIVE, np("table"))),
            "Anna lays the book on the table.",
            "Anna legt das Buch auf den Tisch.",
        ),
        (
            Clause(Pair(MAN, WOMAN), verb("prepositional", "wait"), complement=Prepositional(
                Preposition("for", "auf", "accusative"), Pronoun("you"))),
            "The man and the woman wait for you.",
            "Der Mann und die Frau warten auf dich.",
        ),
        (
            Clause(MAN, PLEASE, accusative=np("shoe", plural=True), negated=True),
            "The man does not like the shoes.",
            "Die Schuhe gefallen dem Mann nicht.",
        ),
        (
            Clause(np("letter"), verb("transitive", "write"), "past", passive=True,
                   complement=Prepositional(Preposition("by", "von", "dative"), np("teacher"))),
            "The letter was written by the teacher.",
            "Der Brief wurde vom Lehrer geschrieben.",
        ),
        (
            Clause(np("door"), verb("transitive", "close"), passive=True, modal=HAVE_TO),
            "The door has to be closed.",
            "Die Tür muss zugemacht werden.",
        ),
        (
            Clause(np("house"), BE, complement=Comparison(ADJECTIVE["old"], np("church"))),
            "The house is older than the church.",
            "Das Haus ist älter als die Kirche.",
        ),
        (
            Clause(MAN, EAT, accusative=np("apple", "", plural=True), modal=LIKE_TO),
            "The man likes to eat apples.",
            "Der Mann isst gern Äpfel.",
        ),
    ],
)  # fmt: skip
def test_cases_prepositions_and_frames(clause, expected_english, expected_german):
    assert said(clause) == (expected_english, expected_german)


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (Clause(MAN, BUY, accusative=np("car", "a")), "does not buy a car", "kauft kein Auto"),
        (Clause(MAN, BUY, accusative=np("wine", "")), "does not buy wine", "kauft keinen Wein"),
        (Clause(MAN, BUY, accusative=np("car")), "does not buy the car", "kauft das Auto nicht"),
        (Clause(MAN, CALL, accusative=ANNA), "does not call Anna", "ruft Anna nicht an"),
        (Clause(MAN, CALL, "past", accusative=ANNA), "did not call Anna", "hat Anna nicht angerufen"),
        (Clause(MAN, CALL, accusative=ANNA, modal=WANT), "does not want to call Anna", "will Anna nicht anrufen"),
        (Clause(MAN, BUY, accusative=np("car", "a"), modal=CAN), "cannot buy a car", "kann kein Auto kaufen"),
        (Clause(MAN, BE, complement=Fixed("old", "alt")), "is not old", "ist nicht alt"),
        (
            Clause(MAN, verb("motion", "drive"), complement=Prepositional(INTO, np("city"))),
            "does not drive into the city",
            "fährt nicht in die Stadt",
        ),
    ],
)
def test_negation(clause, expected_english, expected_german):
    assert said(replace(clause, negated=True)) == (f"The man {expected_english}.", f"Der Mann {expected_german}.")


@pytest.mark.parametrize(
    ("clause", "expected_english", "expected_german"),
    [
        (Clause(MAN, CALL, accusative=ANNA), "Does the man call Anna?", "Ruft der Mann Anna an?"),
        (Clause(MAN, CALL, "past", accusative=ANNA), "Did the man call Anna?", "Hat der Mann Anna angerufen?"),
        (Clause(WHO, EAT, accusative=np("apple")), "Who eats the apple?", "Wer isst den Apfel?"),
        (
            Clause(MAN, verb("dative", "help"), dative=WHO, front="dative"),
            "Whom does the man help?",
            "Wem hilft der Mann?",
        ),
        (
            Clause(MAN, verb("motion", "go"), "progressive", complement=Fixed("where", "wohin"), front="complement"),
            "Where is the man going?",
            "Wohin geht der Mann?",
        ),
        (
            Clause(MAN, BUY, "future", accusative=np("book", "how many", plural=True), front="accusative"),
            "How many books will the man buy?",
            "Wie viele Bücher wird der Mann kaufen?",
        ),
        (Clause(WHO, PLEASE, accusative=np("car")), "Who likes the car?", "Wem gefällt das Auto?"),
        (Clause(ANNA, PLEASE, "past", accusative=np("car")), "Did Anna like the car?", "Hat Anna das Auto gefallen?"),
    ],
)
def test_questions(clause, expected_english, expected_german):
    assert said(clause, "question") == (expected_english, expected_german)


def test_requests():
    close = Clause(Pronoun("you"), verb("transitive", "close"), accusative=np("door"))
    assert said(close, "request") == ("Please close the door.", "Mach bitte die Tür zu.")
    show = Clause(Pronoun("you"), verb("ditransitive", "show"), accusative=np("picture", "a"), dative=Pronoun("I"))
    assert said(show, "request") == ("Please show me a picture.", "Zeig mir bitte ein Bild.")


def test_it_has_the_gender_of_what_it_stands_for():
    lamp = Clause(MAN, BUY, accusative=np("lamp", "a"))
    repair = Clause(WOMAN, verb("transitive", "repair"), accusative=Pronoun("it", "f"))
    sentence = Sentence(lamp, conjunction=Fixed("and", "und"), second=repair)
    assert said(sentence) == (
        "The man buys a lamp and the woman repairs it.",
        "Der Mann kauft eine Lampe und die Frau repariert sie.",
    )


def test_time_stands_behind_what_is_known_and_before_what_is_new():
    often = Fixed("often", "oft", middle=True)
    calls = Clause(MAN, CALL, accusative=Pronoun("she"), time=often)
    assert said(calls) == ("The man often calls her.", "Der Mann ruft sie oft an.")
    reads = Clause(MAN, READ, accusative=np("newspaper"), time=often)
    assert said(reads)[1] == "Der Mann liest oft die Zeitung."
    buys = Clause(MAN, BUY, "past", accusative=np("newspaper", "a"), time=YESTERDAY)
    assert said(buys)[1] == "Der Mann hat gestern eine Zeitung gekauft."
    not_today = Clause(MAN, BUY, accusative=np("newspaper"), time=TODAY, negated=True)
    assert said(not_today)[1] == "Der Mann kauft die Zeitung heute nicht."
