"""Translators by the name of the engine that searches."""

import os
import pkgutil
from collections.abc import Sequence

from tfmr.config import DecodingConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.translation.translator import Translator

_CTRANSLATE2 = "tfmr.interop.ctranslate2_engine:CTranslate2Translator"
"""By name, because `interop` may import `translation` but not the reverse."""


def open_translator(
    directories: Sequence[str | os.PathLike | RunDirectory],
    checkpoint: str = "",
    config: DecodingConfig | None = None,
    *,
    engine: Engine = "jax",
    compute_type: ComputeType = "float32",
) -> Translator:
    """Loads the translator of a run, or of an ensemble of runs.

    Args:
      directories, checkpoint, config: as in `Translator.from_runs`.
      engine: what searches.
      compute_type: the number type of CTranslate2's products.

    Raises:
      InputError: as `Translator.from_runs`, or if the engine does not have the model, an option or the number type.
    """
    if engine == "jax":
        if compute_type != "float32":
            raise InputError(f"--compute-type = {compute_type!r}: requires --engine ctranslate2")
        return Translator.from_runs(directories, checkpoint, config)
    if len(directories) > 1:
        raise InputError("--engine = 'ctranslate2': cannot be combined with --ensemble")
    return pkgutil.resolve_name(_CTRANSLATE2)(directories[0], checkpoint, config, compute_type)
