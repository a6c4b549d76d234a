"""The built-in grammar as a corpus, in either direction."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfmr.config import PairsConfig
from tfmr.data.corpora import grammar
from tfmr.data.corpora.corpus import READER_VERSION, Corpus, fingerprint
from tfmr.errors import InputError

LANGUAGES = ("en", "de")


@dataclass(frozen=True)
class GrammarCorpus(Corpus):
    """English sentences and their German translations, drawn anew each time they are read."""

    sizes: dict[str, int]
    """The number of pairs of each split."""
    german_first: bool
    """Whether German is the source."""

    def split(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the (source, target) sentences of a split."""
        pairs = grammar.stream_pairs(split, self.sizes[split])
        return ((german, english) for english, german in pairs) if self.german_first else pairs

    def size(self, split: str) -> int:
        """Returns the number of pairs in a split."""
        return self.sizes[split]


def load_grammar(config: PairsConfig) -> Corpus:
    """Returns the built-in corpus; raises InputError for languages other than en and de."""
    languages = (config.source_language, config.target_language)
    if sorted(languages) != sorted(LANGUAGES):
        raise InputError(
            f"data.source_language, data.target_language = {languages}: the built-in grammar has only en and de"
        )
    sizes = {"train": config.grammar_size, "validation": grammar.VALIDATION_SIZE, "test": grammar.TEST_SIZE}
    key = fingerprint("grammar", READER_VERSION, grammar.VERSION, sizes)
    return GrammarCorpus("grammar", fingerprint(key, languages), sizes, german_first=languages[0] == "de")
