"""English word forms: the rules of spelling and their exceptions."""

from tfmr.data.corpora.grammar.meaning import EnglishVerb

OBJECTIVE = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them", "who": "whom"}

BE = EnglishVerb("be", "was", "been", auxiliary=True)
HAVE = EnglishVerb("have", "had", "had", auxiliary=True)
DO = EnglishVerb("do", "did", "done", auxiliary=True)
WILL = EnglishVerb("will", "would", "", auxiliary=True)
_UNCHANGING = {"will", "would", "can", "must", "should"}
_ING = {"lie": "lying", "forget": "forgetting", "travel": "travelling"}


def finite(verb: EnglishVerb, agreement: str, past: bool) -> str:
    """Returns the present or past form for a person and number such as "3s"."""
    if verb.base in _UNCHANGING:
        return verb.base
    if verb.base == "be":
        if past:
            return "was" if agreement in ("1s", "3s") else "were"
        return {"1s": "am", "3s": "is"}.get(agreement, "are")
    if past:
        return verb.past
    return third_person(verb.base) if agreement == "3s" else verb.base


def nonfinite(verb: EnglishVerb, form: str) -> str:
    """Returns the "base", "participle" or "ing" form."""
    return {"base": verb.base, "participle": verb.participle, "ing": ing(verb.base)}[form]


def third_person(verb: str) -> str:
    """Returns the form for he, she and it: reads, washes, tries, goes, has."""
    return "has" if verb == "have" else with_s(verb)


def ing(verb: str) -> str:
    """Returns the ing form: reading; writing drops the final e; sitting doubles a consonant after a single vowel."""
    if verb in _ING:
        return _ING[verb]
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    vowels = [letter in "aeiou" for letter in verb]
    if sum(vowels) == 1 and vowels[-2] and verb[-1] not in "wxy":
        return verb + verb[-1] + "ing"
    return verb + "ing"


def indefinite_article(following: str) -> str:
    """Returns "a", or "an" before a vowel sound (an uncle, a university)."""
    return "an" if following[0] in "aeiou" and not following.startswith("uni") else "a"


def regular_past(verb: str) -> str:
    """Returns the past: -ed, -d after -e, -ied for -y after a consonant."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + "ed"


def with_s(word: str) -> str:
    """Returns a noun or verb with -s, with -es after a sibilant, or with -ies for -y after a consonant."""
    if word.endswith(("s", "sh", "ch", "x")) or word in ("do", "go"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
