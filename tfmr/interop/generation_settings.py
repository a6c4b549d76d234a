"""Decoding settings as a folder of transformers has them in generation_config.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmr.config import DecodingConfig
from tfmr.errors import InputError
from tfmr.interop import compatibility, folders

_MAX_LENGTH = 512
"""Maximum number of tokens that an exported model generates if its run has no limit of its own."""


def read_decoding(folder: Path, values: Mapping[str, Any]) -> DecodingConfig:
    """Returns the decoding settings of a folder. Older folders have them in config.json.

    Those of a run that was exported are returned whole, unless generation_config.json has been changed since.
    """
    file = folder / "generation_config.json"
    found = from_generation({**values, **folders.read_optional_json(file)}, str(file))
    run = folders.read_run_config(folder)
    return run.decoding if run and from_generation(to_generation(run.decoding)) == found else found


def to_generation(decoding: DecodingConfig) -> dict[str, Any]:
    """Returns the values of generation_config.json for decoding settings; transformers does not have the others."""
    longest = decoding.max_length or max(_MAX_LENGTH - 1, decoding.min_length)
    return {
        "num_beams": decoding.beam_size,
        "length_penalty": decoding.alpha if decoding.length_penalty == "power" else 1.0,
        "max_length": longest + 1,  # with the first token of the decoder's input
        "min_length": decoding.min_length,
        "no_repeat_ngram_size": decoding.no_repeat_ngram,
    }


def from_generation(values: Mapping[str, Any], name: str = "generation_config.json") -> DecodingConfig:
    """Returns the decoding settings in the values of generation_config.json.

    Raises:
      InputError: if one of them is not allowed. The message contains `name`.
    """
    given = {key: values[key] for key in to_generation(DecodingConfig()) if values.get(key) is not None}
    alpha = given.pop("length_penalty", 1.0)
    wrong = compatibility.wrong_counts(given, given, least=0)
    wrong += [] if type(alpha) in (int, float) else [f"length_penalty = {alpha!r}, must be a number"]
    compatibility.refuse(name, wrong)
    try:
        return DecodingConfig(
            beam_size=given.get("num_beams", 1),
            length_penalty="power",
            alpha=float(alpha),
            max_length=max(0, given.get("max_length", 0) - 1),
            min_length=given.get("min_length", 0),
            no_repeat_ngram=given.get("no_repeat_ngram_size", 0),
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
