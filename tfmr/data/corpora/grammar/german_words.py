"""German word forms: tables of articles, endings, pronouns, nouns and verbs.

Cases are named in full; the columns of the tables are m, f, n (singular) and p (plural).
"""

from tfmr.data.corpora.grammar.meaning import GermanVerb, Noun

CASES = ("nominative", "accusative", "dative", "genitive")


def _table(rows: str) -> dict[tuple[str, str], str]:
    """Reads four rows (cases) of four columns (m f n p); "-" means no ending."""
    return {
        (case, column): "" if cell == "-" else cell
        for case, row in zip(CASES, rows.strip().split("\n"), strict=True)
        for column, cell in zip("mfnp", row.split(), strict=True)
    }


DEFINITE_ARTICLE = _table("""
    der die das die
    den die das die
    dem der dem den
    des der des der
""")
RELATIVE_PRONOUN = _table("""
    der die das die
    den die das die
    dem der dem denen
    dessen deren dessen deren
""")
# dies-er, welch-er, jed-er: the endings of der.
DER_WORD_ENDING = _table("""
    er e es e
    en e es e
    em er em en
    es er es er
""")
# ein, kein, mein, ...: no ending in the nominative masculine and neuter (ein Mann) and the accusative neuter.
EIN_WORD_ENDING = _table("""
    -  e  -  e
    en e  -  e
    em er em en
    es er es er
""")
# Adjectives after der-words.
WEAK_ENDING = _table("""
    e  e  e  en
    en e  e  en
    en en en en
    en en en en
""")
# Adjectives after ein-words show the gender wherever ein does not.
MIXED_ENDING = _table("""
    er e  es en
    en e  es en
    en en en en
    en en en en
""")
# Adjectives without an article.
STRONG_ENDING = _table("""
    er e  es e
    en e  es e
    em er em en
    en er en er
""")

DER_WORDS = {"this": "dies", "which": "welch", "every": "jed"}
EIN_WORDS = {
    "a": "ein", "no": "kein", "my": "mein", "your": "dein", "his": "sein", "her": "ihr", "our": "unser", "their": "ihr",
}  # fmt: skip
# Quantifiers have strong endings, like the adjectives after them.
QUANTITY_WORDS = {"many": "viel", "some": "einig"}
INDEFINITE_DETERMINERS = ("", "a", "no", "every", *QUANTITY_WORDS)

# nominative, accusative, dative
PRONOUNS = {
    ("I", ""): ("ich", "mich", "mir"),
    ("you", ""): ("du", "dich", "dir"),
    ("he", ""): ("er", "ihn", "ihm"),
    ("she", ""): ("sie", "sie", "ihr"),
    ("we", ""): ("wir", "uns", "uns"),
    ("they", ""): ("sie", "sie", "ihnen"),
    ("it", ""): ("es", "es", "ihm"),
    ("it", "m"): ("er", "ihn", "ihm"),
    ("it", "f"): ("sie", "sie", "ihr"),
    ("it", "n"): ("es", "es", "ihm"),
}
INTERROGATIVES = {"who": ("wer", "wen", "wem"), "what": ("was", "was", "")}

# Present tense: 1s 2s 3s 1p 3p. For sollen and mögen, the subjunctive is the only form used here.
_IRREGULAR_PRESENT = {
    "sein": "bin bist ist sind sind",
    "haben": "habe hast hat haben haben",
    "werden": "werde wirst wird werden werden",
    "wissen": "weiß weißt weiß wissen wissen",
    "können": "kann kannst kann können können",
    "müssen": "muss musst muss müssen müssen",
    "wollen": "will willst will wollen wollen",
    "sollen": "sollte solltest sollte sollten sollten",  # should
    "dürfen": "darf darfst darf dürfen dürfen",
    "mögen": "möchte möchtest möchte möchten möchten",  # would like to
}
# The verbs that use the simple past; all others use the perfect.
_PRETERITE = {
    "sein": "war warst war waren waren",
    "haben": "hatte hattest hatte hatten hatten",
    "werden": "wurde wurdest wurde wurden wurden",
    "können": "konnte konntest konnte konnten konnten",
    "müssen": "musste musstest musste mussten mussten",
    "wollen": "wollte wolltest wollte wollten wollten",
    "dürfen": "durfte durftest durfte durften durften",
}
_AGREEMENTS = ("1s", "2s", "3s", "1p", "3p")

SEIN = GermanVerb("sein", "ist", "gewesen", "sein")
HABEN = GermanVerb("haben", "hat", "gehabt")
WERDEN = GermanVerb("werden", "wird", "worden", "sein")  # worden: the participle of the passive


def has_preterite(verb: GermanVerb) -> bool:
    """Returns whether this verb uses the simple past."""
    return verb.infinitive in _PRETERITE


def preterite(verb: GermanVerb, agreement: str) -> str:
    """Returns the simple past of one of the verbs that use it."""
    return _PRETERITE[verb.infinitive].split()[_AGREEMENTS.index(agreement)]


def present(verb: GermanVerb, agreement: str) -> str:
    """Returns the present tense, without the separable prefix."""
    if verb.infinitive in _IRREGULAR_PRESENT:
        return _IRREGULAR_PRESENT[verb.infinitive].split()[_AGREEMENTS.index(agreement)]
    if agreement in ("1p", "3p"):
        return verb.infinitive
    if agreement == "1s":
        return verb.infinitive.removesuffix("n").removesuffix("e") + "e"
    if agreement == "3s":
        return verb.third_person
    # du has the same vowel as er: er liest, du liest; er gibt, du gibst. After an s sound, -st becomes -t.
    stem = verb.third_person.removesuffix("t")
    return stem + ("t" if stem.endswith(("s", "ß", "z")) else "st")


def imperative(verb: GermanVerb) -> str:
    """Returns the informal imperative, without the separable prefix: lies, mach, warte."""
    stem = verb.infinitive.removesuffix("n").removesuffix("e")
    changed = verb.third_person.removesuffix("t")
    # er liest, lies; but er trägt, trag: only e changes to i. In wartet, -e is part of the stem.
    if changed != stem and "ä" not in changed:
        return changed
    return stem + ("e" if stem.endswith(("d", "t", "er")) else "")


def infinitive_with_zu(verb: GermanVerb) -> str:
    """Returns the infinitive with zu: zu kaufen; zu follows a separable prefix: anzurufen."""
    return f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"


def noun_form(noun: Noun, case: str, plural: bool) -> str:
    """Returns the noun in a case: -n in the dative plural, -s or -es in the genitive, -n of weak nouns."""
    if plural:
        ends = noun.german_plural.endswith(("n", "s"))
        return noun.german_plural + ("n" if case == "dative" and not ends else "")
    if noun.weak:
        return noun.german if case == "nominative" else noun.german_plural
    if case == "genitive" and noun.gender != "f":
        return noun.german + ("es" if _is_one_syllable(noun.german) else "s")
    return noun.german


def _is_one_syllable(word: str) -> bool:
    vowels = [letter in "aeiouyäöü" for letter in word.lower()]
    return sum(here and not before for here, before in zip(vowels, [False, *vowels[:-1]], strict=True)) == 1


def determiner_form(determiner: str, case: str, column: str) -> str:
    """Returns the determiner (by its English word) in a case; column is m, f, n or p."""
    if determiner == "the":
        return DEFINITE_ARTICLE[case, column]
    if determiner in DER_WORDS:
        return DER_WORDS[determiner] + DER_WORD_ENDING[case, column]
    if determiner in EIN_WORDS:
        return EIN_WORDS[determiner] + EIN_WORD_ENDING[case, column]
    if determiner in QUANTITY_WORDS:
        return QUANTITY_WORDS[determiner] + STRONG_ENDING[case, column]
    return {"": "", "how many": "wie viele"}[determiner]


def adjective_ending(determiner: str, case: str, column: str) -> str:
    """Returns the ending of an adjective after this determiner (by its English word)."""
    if determiner == "the" or determiner in DER_WORDS:
        return WEAK_ENDING[case, column]
    if determiner in EIN_WORDS:
        return MIXED_ENDING[case, column]
    return STRONG_ENDING[case, column]
