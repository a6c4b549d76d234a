"""Number words, years and clock times in both languages.

German says the ones before the tens, in one word: forty-two is
zweiundvierzig. Half past six is halb sieben: half of the seventh hour.
"""

# fmt: off
_ENGLISH_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
_ENGLISH_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_GERMAN_ONES = [
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf",
    "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
]
_GERMAN_TENS = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
# fmt: on


def english_number(n: int) -> str:
    """Returns 0 <= n < 1 000 000 in words: 142 is one hundred and forty-two."""
    if n < 20:
        return _ENGLISH_ONES[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return _ENGLISH_TENS[tens] + (f"-{_ENGLISH_ONES[ones]}" if ones else "")
    if n < 1000:
        hundreds, rest = divmod(n, 100)
        return f"{_ENGLISH_ONES[hundreds]} hundred" + (f" and {english_number(rest)}" if rest else "")
    thousands, rest = divmod(n, 1000)
    joint = " and " if 0 < rest < 100 else " "
    return f"{english_number(thousands)} thousand" + (joint + english_number(rest) if rest else "")


def german_number(n: int) -> str:
    """Returns 0 <= n < 1 000 000 in words: 142 is einhundertzweiundvierzig."""
    if n < 20:
        return _GERMAN_ONES[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return (f"{_one(ones)}und" if ones else "") + _GERMAN_TENS[tens]
    if n < 1000:
        hundreds, rest = divmod(n, 100)
        return f"{_one(hundreds)}hundert" + (german_number(rest) if rest else "")
    thousands, rest = divmod(n, 1000)
    first = german_number(thousands).removesuffix("s") if thousands % 100 == 1 else german_number(thousands)
    return f"{first}tausend" + (german_number(rest) if rest else "")


def _one(digit: int) -> str:
    """Returns the digit as it is written inside a number: ein-, not eins."""
    return "ein" if digit == 1 else _GERMAN_ONES[digit]


def english_year(year: int) -> str:
    """Returns a year in words, 1984 as nineteen eighty-four; 1100 <= year < 2100."""
    century, rest = divmod(year, 100)
    if year >= 2000:
        return english_number(year)
    if rest == 0:
        return f"{english_number(century)} hundred"
    return f"{english_number(century)} {'oh ' if rest < 10 else ''}{english_number(rest)}"


def german_year(year: int) -> str:
    """Returns a year in words, 1984 as neunzehnhundertvierundachtzig; 1100 <= year < 2100."""
    century, rest = divmod(year, 100)
    if year >= 2000:
        return german_number(year)
    return f"{german_number(century)}hundert" + (german_number(rest) if rest else "")


def clock(hour: int, quarter: int) -> tuple[str, str]:
    """Returns the time of day in English and German: hour 1 to 12, and 0 to 3 quarters of an hour after it."""
    following = hour % 12 + 1
    english_hour, german_hour = english_number(hour), german_number(hour)
    return (
        (f"at {english_hour} o'clock", f"um {_one(hour) if hour == 1 else german_hour} Uhr"),
        (f"at a quarter past {english_hour}", f"um Viertel nach {german_hour}"),
        (f"at half past {english_hour}", f"um halb {german_number(following)}"),
        (f"at a quarter to {english_number(following)}", f"um Viertel vor {german_number(following)}"),
    )[quarter]
