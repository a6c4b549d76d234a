"""The numbers of a `DecodingConfig` that compiled searches take as arrays, so that one program serves all values."""

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.config import DecodingConfig
from tfmr.search.sampling import SamplingValues, sampling_values
from tfmr.search.search import inverse_length_penalties


class SearchValues(NamedTuple):
    """What a search takes as arrays."""

    inverse_penalties: Float[Array | np.ndarray, " lengths"]
    """From `inverse_length_penalties`."""
    sampling: SamplingValues | None
    """None: no sampling."""


def search_values(config: DecodingConfig, max_length: int) -> SearchValues:
    """Returns the arrays of a config, for outputs of at most `max_length` tokens."""
    sampling = sampling_values(config.sampling) if config.sampling.temperature > 0 else None
    return SearchValues(inverse_length_penalties(config, max_length), sampling)
