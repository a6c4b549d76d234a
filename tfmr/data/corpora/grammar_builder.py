"""The built-in grammar as a tensorflow-datasets builder: English sentences and their German translations."""

import dataclasses
from collections.abc import Iterator
from typing import cast

import tensorflow_datasets as tfds

from tfmr.config import PairsConfig
from tfmr.data.corpora import grammar
from tfmr.data.corpora.builder import PairsBuilder, prepared_later
from tfmr.data.corpora.corpus import Corpus, fingerprint
from tfmr.errors import InputError

LANGUAGES = ("en", "de")


@dataclasses.dataclass
class GrammarConfig(tfds.core.BuilderConfig):
    """Adds the number of pairs of each split."""

    sizes: dict[str, int] = dataclasses.field(default_factory=dict)


class Grammar(PairsBuilder, skip_registration=True):
    """Sentences of the built-in grammar, English as source."""

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the (English, German) sentences of a split."""
        return iter(grammar.sentence_pairs(split, cast(GrammarConfig, self.builder_config).sizes[split]))


def load_grammar(config: PairsConfig) -> Corpus:
    """Returns the built-in corpus in either direction; raises InputError for languages other than en and de."""
    languages = (config.source_language, config.target_language)
    if sorted(languages) != sorted(LANGUAGES):
        raise InputError(f"data.source_language, data.target_language = {languages}: the grammar has en and de")
    sizes = {"train": config.grammar_size, "validation": grammar.VALIDATION_SIZE, "test": grammar.TEST_SIZE}
    key = fingerprint("grammar", str(Grammar.VERSION), grammar.VERSION, sizes)
    builder_config = GrammarConfig(name=key[:32], sizes=sizes)

    keys = {"en": "source", "de": "target"}
    source_key, target_key = keys[languages[0]], keys[languages[1]]
    return Corpus(
        "grammar", fingerprint(key, languages), prepared_later(Grammar, builder_config, config), source_key, target_key
    )
