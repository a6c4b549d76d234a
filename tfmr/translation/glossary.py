"""Glossaries: how terms of the source must be translated."""

import functools
import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from tfmr.data.corpora.lines import read_lines
from tfmr.errors import InputError
from tfmr.translation.rules import WordRules
from tfmr.translation.word_alignment import Span, best_word, words_of
from tfmr.translation.words import NO_SPACES

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

    def __post_init__(self):
        normal = tuple(unicodedata.normalize("NFC", form) for form in self.targets)
        object.__setattr__(self, "targets", normal)

    def found_in(self, text: str) -> list["Span"]:
        """Returns where a translation has one of the target forms, as a whole word."""
        return [Span(*match.span()) for match in self._pattern.finditer(text)]

    @functools.cached_property
    def _pattern(self) -> re.Pattern:
        return re.compile("|".join(_whole_word(re.escape(form), form) for form in self.written_forms))

    @property
    def written_forms(self) -> list[str]:
        """The target forms, also with the capital letter that the first word of a sentence may begin with."""
        return list(dict.fromkeys([*self.targets, *map(capitalised, self.targets)]))


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
                raise InputError(f"{name}: {term.sources} is translated as {term.targets}: a form is empty; fill it in")
            for form in map(_key, term.sources):
                other = self._of_form.setdefault(form, term)
                if other.targets != term.targets:
                    raise InputError(
                        f"{name}: {form!r} has two translations, {_FORMS.join(other.targets)!r} and "
                        f"{_FORMS.join(term.targets)!r}; remove one, or write both on one line, separated by {_FORMS!r}"
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

    def uses_in(self, text: str) -> list[tuple[Term, Span]]:
        """Returns where a text uses which terms, in order. The text must be in the Unicode form NFC."""
        found = self._pattern.finditer(text)
        return [(self._terms_by_group[(match.lastindex or 1) - 1], Span(*match.span())) for match in found]

    def missing_terms(self, source: str, target: str) -> list[str]:
        """Returns the terms that a source uses and whose translations its translation does not contain."""
        terms = dict.fromkeys(term for term, _ in self.uses_in(unicodedata.normalize("NFC", source)))
        return [term.sources[0] for term in terms if not term.found_in(target)]


class WantedTerm:
    """The translation of a term, for one search."""

    def __init__(self, term: Term, rules: WordRules):
        """Builds the tables of the words that the term requires.

        Raises:
          InputError: if the tokenizer cannot write the translation, or it contains a forbidden word.
        """
        self.name = term.sources[0]
        self.preferred = term.written_forms[0]
        # A tokenizer of small letters only cannot write the forms for the beginning of a sentence.
        forms = [form for form in term.written_forms if form in term.targets or rules.can_write(form)]
        if any(len(form.encode()) > 200 for form in forms):  # the tables of a word have a row for each byte
            raise InputError("its translation has more than 200 bytes; shorten it")
        self.word = rules.required_word("its translation", forms)
        self.found_in = term.found_in


class Use(NamedTuple):
    """A place in a source where it uses a term."""

    term: WantedTerm
    span: Span


class UsedGlossary:
    """A glossary with the tables of the words that it requires, which are built when a term is first found."""

    def __init__(self, glossary: Glossary, rules: WordRules):
        """Takes the rules of a search, which know the tokenizer and the forbidden words."""
        self.glossary = glossary
        self._rules = rules
        self._wanted: dict[Term, WantedTerm | str] = {}

    def uses_in(self, text: str, room: int, line: int) -> list[Use]:
        """Returns where a source uses terms. A term that cannot be used is left out and reported.

        Args:
          text: the source, in the Unicode form NFC.
          room: the number of tokens that there may be of all required words.
          line: the number of the line, for messages.
        """
        room -= sum(word.tokens_needed for word in self._rules.required)
        uses, counted = [], set()
        for term, span in self.glossary.uses_in(text):
            wanted = self._wanted_term(term)
            if not isinstance(wanted, str) and term not in counted and wanted.word.tokens_needed > room:
                needed = wanted.word.tokens_needed
                wanted = f"its {needed} tokens do not fit into the output; raise decoding.extra_length"
            if isinstance(wanted, str):
                log.warning("line %d: the glossary's term %r is not used: %s", line, term.sources[0], wanted)
                continue
            room -= 0 if term in counted else wanted.word.tokens_needed
            counted.add(term)
            uses.append(Use(wanted, span))
        return uses

    def _wanted_term(self, term: Term) -> WantedTerm | str:
        """Returns a term's translation, or the reason why it cannot be written."""
        if term not in self._wanted:
            try:
                self._wanted[term] = WantedTerm(term, self._rules)
            except InputError as error:
                self._wanted[term] = str(error)
        return self._wanted[term]


def next_place(
    uses: Sequence[Use], source: str, target: str, weights: Float[np.ndarray, "targets sources"], begin: int
) -> tuple[Use, str] | None:
    """Returns the next use of a term whose translation is missing, and what the output must begin with instead.

    That is the translation up to the word that gives most attention to the term, and the term's translation. Uses in
    which that word belongs to the translation already, or comes before the character `begin` of the target, are passed
    over. None: there are no others.

    Args:
      uses: the uses of terms that have not been written yet.
      source, target: the texts.
      weights: the attention of the words of the target to the words of the source.
      begin: the length of the beginning of the target that must stay.
    """
    words, target_words = words_of(source), words_of(target)
    is_word = np.array([target[word.start].isalnum() for word in target_words])
    places = []
    for use in uses:
        inside = [i for i, word in enumerate(words) if use.span.start <= word.start < use.span.end]
        best = best_word(weights * is_word[:, None], inside)
        if best is None:
            continue
        at = target_words[best]
        done = any(form.start <= at.start < form.end for form in use.term.found_in(target))
        if at.start >= begin and not done:
            places.append((at.start, use))
    if not places:
        return None
    start, use = min(places, key=lambda place: place[0])
    written = use.term.preferred if target[:start].strip() else capitalised(use.term.preferred)
    return use, target[:start] + written


def capitalised(text: str) -> str:
    """Returns a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def _key(form: str) -> str:
    """Returns a form as it is compared with others."""
    return " ".join(unicodedata.normalize("NFC", form).split())


def _found_as(form: str) -> str:
    """Returns the regular expression of a form as a whole word."""
    words = r"\s+".join(map(re.escape, form.split(" ")))
    spelled = words if any(map(str.isupper, form)) else f"(?i:{words})"
    return _whole_word(spelled, form)


def _whole_word(pattern: str, text: str) -> str:
    """Returns a pattern of a text as a whole word in scripts that separate words."""
    apart = rf"[^\W{NO_SPACES}]"
    before = f"(?<!{apart})" if re.match(apart, text) else ""
    after = f"(?!{apart})" if re.match(apart, text[-1]) else ""
    return f"{before}(?:{pattern}){after}"
