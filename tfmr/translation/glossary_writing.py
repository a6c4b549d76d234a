"""Writes the terms of a glossary into translations in which they are missing, by searching these anew."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.translation.alignment import Alignment
from tfmr.translation.glossary import Use, UsedGlossary, WantedTerm, next_place
from tfmr.translation.hypotheses import Hypothesis
from tfmr.translation.padded_batches import Sentence
from tfmr.translation.rules import WordRules, encode_prefix
from tfmr.translation.word_alignment import WordAttention, words_of

log = logging.getLogger("tfmr")

_MOST_ROUNDS = 16
"""The number of terms of a glossary that are placed in a line one after the other; others are required anywhere."""


@dataclass(frozen=True)
class TermWriter:
    """Writes terms with the search and the attention of a translator.

    The words of a translation up to the one that gives most attention to a term become a prefix, with the term after
    it, and the rest is searched for anew; one term after the other. A term with no such word, or without which the
    search ends nevertheless, is required anywhere in the output.

    Attributes:
      glossary: the terms.
      rules: the other words that the search requires or forbids.
      tokenizer: the tokenizer of both languages.
      search: yields the index and the hypotheses of each of some sentences, which have indices as keys.
      align: returns the alignments of sources with the tokens of their translations.
      line: returns the number of a line in messages from its index.
    """

    glossary: UsedGlossary
    rules: WordRules
    tokenizer: Tokenizer
    search: Callable[[Mapping[int, Sentence]], Iterable[tuple[int, list[Hypothesis]]]]
    align: Callable[[Sequence[str], Sequence[tuple[int, ...]]], Sequence[Alignment]]
    line: Callable[[int], int]

    def write(
        self, lines: Mapping[int, str], sentences: dict[int, Sentence], translations: list[list[Hypothesis]]
    ) -> None:
        """Replaces the translations in which the translation of a term is missing.

        Args:
          lines: the sources, by index.
          sentences: the same, encoded.
          translations: the hypotheses of each line, at its index.
        """
        texts = {index: unicodedata.normalize("NFC", line) for index, line in lines.items()}
        sentences = dict(sentences)
        left = {
            index: self.glossary.uses_in(texts[index], sentence.limit - 1 - len(sentence.prefix), self.line(index))
            for index, sentence in sentences.items()
            if translations[index]
        }
        every = {index: list(dict.fromkeys(use.term for use in uses)) for index, uses in left.items()}
        begins = {index: len(self.tokenizer.decode(sentences[index].prefix)) for index in left}
        for _ in range(_MOST_ROUNDS):
            placed = self._next_terms(left, texts, translations, begins)
            if not placed:
                break
            changed = {}
            for index, (use, prefix) in placed.items():
                left[index].remove(use)
                begins[index] = len(prefix)
                sentence = self._with_term(sentences[index], use.term, prefix)
                if sentence:
                    changed[index] = sentence
            for index, hypotheses in self.search(changed):
                if hypotheses:
                    translations[index], sentences[index] = hypotheses, changed[index]
                else:
                    left[index] = []
        self._require(every, sentences, translations)

    def _next_terms(
        self,
        left: Mapping[int, list[Use]],
        texts: Mapping[int, str],
        translations: list[list[Hypothesis]],
        begins: Mapping[int, int],
    ) -> dict[int, tuple[Use, str]]:
        """Returns the next term to write in each line, and the prefix with it; see `next_place`."""
        indices = [index for index, uses in left.items() if uses]
        if not indices:
            return {}
        alignments = self.align([texts[i] for i in indices], [translations[i][0].tokens for i in indices])
        attention = WordAttention(self.tokenizer)
        places = {}
        for index, alignment in zip(indices, alignments, strict=True):
            source, target = texts[index], translations[index][0].text
            if alignment.target:
                weights = attention(alignment, source, target, words_of(source), words_of(target))
                place = next_place(left[index], source, target, weights, begins[index])
                places |= {index: place} if place else {}
        return places

    def _with_term(self, sentence: Sentence, term: WantedTerm, prefix: str) -> Sentence | None:
        """Returns a sentence whose output begins with a prefix that ends in a term; None if it cannot be written."""
        try:
            tokens = [*self.tokenizer.tags.target_ids, *encode_prefix(prefix, self.tokenizer, self.rules, 0)]
        except InputError:
            return None
        if len(tokens) + 1 > sentence.limit:
            return None
        return sentence._replace(prefix=tokens, required=(*sentence.required, term.word))

    def _require(
        self,
        terms: Mapping[int, list[WantedTerm]],
        sentences: Mapping[int, Sentence],
        translations: list[list[Hypothesis]],
    ) -> None:
        """Searches anew for the translations in which a term is still missing, and reports those that stay so."""
        missing = {}
        for index, wanted in terms.items():
            absent = [term for term in wanted if not term.found_in(translations[index][0].text)]
            if absent:
                required = (*self.rules.required, *(term.word for term in wanted))
                missing[index] = sentences[index]._replace(required=required)
        for index, hypotheses in self.search(missing):
            translations[index] = hypotheses or translations[index]
            for term in terms[index]:
                if not term.found_in(translations[index][0].text):
                    log.warning(
                        "line %d: no output contains the translation of the glossary's term %r",
                        *(self.line(index), term.name),
                    )
