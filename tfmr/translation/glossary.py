"""Glossaries: how terms of the source must be translated."""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tfmr.data.corpora.lines import read_lines
from tfmr.errors import InputError
from tfmr.translation.rules import WordRules
from tfmr.translation.words import NO_SPACES, RequiredWord

log = logging.getLogger("tfmr")

_FORMS = "|"


@dataclass(frozen=True)
class Term:
    """An entry of a glossary.

    Attributes:
      sources: the forms of the term in the source.
      targets: the forms of its translation. Any of them will do; the first is preferred.
      note: a remark for readers.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    note: str = ""


class Glossary:
    """Terms and their translations.

    A term is found as whole words, with any white space between them. A form without capital letters is found in any
    case, such as at the beginning of a sentence; a form with capital letters only as it is. Where several terms
    overlap, the first one counts, and of those that begin at the same word the longest.

    Attributes:
      terms: the terms, in the order in which they were given.
    """

    def __init__(self, terms: Iterable[Term], name: str = "glossary"):
        """Collects terms; `name` begins the messages.

        Raises:
          InputError: if a form is blank, or belongs to two terms with different translations.
        """
        self.terms = tuple(terms)
        self._of_form: dict[str, Term] = {}
        for term in self.terms:
            if not (term.sources and term.targets and all(map(str.strip, (*term.sources, *term.targets)))):
                raise InputError(f"{name}: {term.sources} is translated by {term.targets}: a form is empty; fill it in")
            for form in map(_key, term.sources):
                other = self._of_form.setdefault(form, term)
                if other.targets != term.targets:
                    raise InputError(
                        f"{name}: {form!r} has two translations, {_FORMS.join(other.targets)!r} and "
                        f"{_FORMS.join(term.targets)!r}; remove one, or write both in one line with {_FORMS!r} between"
                    )
        forms = sorted(self._of_form, key=len, reverse=True)
        self._pattern = re.compile("|".join(f"({_found_as(form)})" for form in forms) or "(?!)")
        self._terms_by_group = [self._of_form[form] for form in forms]

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Glossary":
        """Reads a TSV file, plain or compressed; see `from_lines`."""
        if not Path(path).is_file():
            raise InputError(f"glossary = {os.fspath(path)!r}: no such file")
        return cls.from_lines(read_lines(Path(path)), os.fspath(path))

    @classmethod
    def from_lines(cls, lines: Iterable[str], name: str = "glossary") -> "Glossary":
        """Reads lines of source term, target term and optionally a note, separated by tabs. Blank lines are left out.

        A term may have several forms, separated by `|`, such as the forms of its inflection.

        Raises:
          InputError: if a line has another number of fields, or a form is empty or has two translations.
        """
        terms = []
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if not line.strip():
                continue
            if len(fields) not in (2, 3):
                raise InputError(
                    f"{name}, line {number}: has {len(fields)} fields; write source term, tab, target term, and "
                    "optionally another tab and a note"
                )
            sources, targets = (tuple(form.strip() for form in field.split(_FORMS)) for field in fields[:2])
            if not all((*sources, *targets)):
                raise InputError(f"{name}, line {number}: a term is empty: {line.strip()!r}")
            terms.append(Term(sources, targets, *fields[2:]))
        return cls(terms, name)

    def terms_in(self, text: str) -> list[Term]:
        """Returns the terms that a text contains, in their order in the text, each once."""
        found = self._pattern.finditer(unicodedata.normalize("NFC", text))
        return list(dict.fromkeys(self._terms_by_group[(match.lastindex or 1) - 1] for match in found))


class UsedGlossary:
    """A glossary with the tables of the words that it requires, which are built when a term is first found."""

    def __init__(self, glossary: Glossary, rules: WordRules):
        """Takes the rules of a search, which know the tokenizer and the forbidden words."""
        self._glossary = glossary
        self._rules = rules
        self._words: dict[Term, RequiredWord | str] = {}

    def required_in(self, text: str, room: int, line: int) -> list[RequiredWord]:
        """Returns what the output must contain because of the terms in a source.

        A term that cannot be used is left out and reported.

        Args:
          text: the source.
          room: the number of tokens that there may be of all required words.
          line: the number of the line, for messages.
        """
        room -= sum(word.tokens_needed for word in self._rules.required)
        required = []
        for term in self._glossary.terms_in(text):
            word = self._word(term)
            if not isinstance(word, str) and word.tokens_needed > room:
                word = f"its {word.tokens_needed} tokens do not fit into the output; raise decoding.extra_length"
            if isinstance(word, str):
                log.warning("line %d: the glossary's term %r is not used: %s", line, term.sources[0], word)
                continue
            room -= word.tokens_needed
            required.append(word)
        return required

    def _word(self, term: Term) -> RequiredWord | str:
        """Returns the tables of a term's translation, or the reason why it cannot be written."""
        if term not in self._words:
            forms = [unicodedata.normalize("NFC", form) for form in term.targets]
            capitalised = [form[0].upper() + form[1:] for form in forms]  # at the beginning of a sentence
            try:
                self._words[term] = self._rules.required_word(
                    "its translation", list(dict.fromkeys(forms + capitalised))
                )
            except InputError as error:
                self._words[term] = str(error)
        return self._words[term]


def _key(form: str) -> str:
    """Returns a form as it is compared with others."""
    return " ".join(unicodedata.normalize("NFC", form).split())


def _found_as(form: str) -> str:
    """Returns the regular expression of a form as a whole word."""
    words = r"\s+".join(map(re.escape, form.split(" ")))
    spelled = words if any(map(str.isupper, form)) else f"(?i:{words})"
    apart = rf"[^\W{NO_SPACES}]"
    before = f"(?<!{apart})" if re.match(apart, form) else ""
    after = f"(?!{apart})" if re.match(apart, form[-1]) else ""
    return f"{before}{spelled}{after}"
