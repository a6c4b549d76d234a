"""Corpora of translation pairs, by name."""

import pkgutil

from tfmr.config import PairsConfig
from tfmr.data.corpora.corpus import Corpus

BUILT_IN = ("grammar", "multi30k", "text")
"""The corpora that tfmr reads itself; any other name is a dataset of tensorflow-datasets. Each is a module of this
package, imported only when needed, with a function `load_NAME`."""


def load_corpus(config: PairsConfig) -> Corpus:
    """Returns the corpus that `data.corpus` names.

    Raises:
      InputError: for an unknown corpus, an unknown language, or a missing file.
    """
    if config.corpus in BUILT_IN:
        return pkgutil.resolve_name(f"{__name__}.{config.corpus}:load_{config.corpus}")(config)
    from tfmr.data.corpora.named import load_named

    return load_named(config, BUILT_IN)


__all__ = ["BUILT_IN", "Corpus", "load_corpus"]
