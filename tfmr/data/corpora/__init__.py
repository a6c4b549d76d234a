"""Corpora of translation pairs, by name."""

from tfmr.config import PairsConfig
from tfmr.data.corpora.corpus import Corpus

BUILT_IN = ("grammar", "multi30k", "text")


def load_corpus(config: PairsConfig) -> Corpus:
    """Returns the corpus that `data.corpus` names.

    Raises:
      InputError: for an unknown corpus, an unknown language, or a missing file.
    """
    if config.corpus == "grammar":
        from tfmr.data.corpora.grammar import load_grammar

        return load_grammar(config)
    if config.corpus == "multi30k":
        from tfmr.data.corpora.multi30k import load_multi30k

        return load_multi30k(config)
    if config.corpus == "text":
        from tfmr.data.corpora.text import load_text

        return load_text(config)
    from tfmr.data.corpora.named import load_named

    return load_named(config, BUILT_IN)


__all__ = ["BUILT_IN", "Corpus", "load_corpus"]
