"""An exact top-k that is faster than `lax.top_k` for large vocabularies."""

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

_CHUNK = 128


def top_k(values: Float[Array, "*rows vocab"], k: int) -> tuple[Float[Array, "*rows {k}"], Int[Array, "*rows {k}"]]:
    """Returns the k largest values of each row in descending order, and their indices. Ties go to the lower index.

    Same as `lax.top_k`, but in two stages. The k largest values are in the k chunks of 128 values with the largest
    maxima, so the second stage searches only these chunks. For a vocabulary on a CPU, this takes a third to an eighth
    of the time.
    """
    size = values.shape[-1]
    num_chunks = -(-size // _CHUNK)
    if num_chunks <= k:
        largest, indices = lax.top_k(values, k)
        return largest, indices
    padding = [(0, 0)] * (values.ndim - 1) + [(0, num_chunks * _CHUNK - size)]
    padded = jnp.pad(values, padding, constant_values=-jnp.inf)
    maxima = padded.reshape(*values.shape[:-1], num_chunks, _CHUNK).max(axis=-1)
    _, chunks = lax.top_k(maxima, k)
    # In the order of the vocabulary, so that ties go to the lower index in the second stage too.
    starts = jnp.sort(chunks, axis=-1)[..., None] * _CHUNK
    indices = (starts + jnp.arange(_CHUNK, dtype=chunks.dtype)).reshape(*values.shape[:-1], k * _CHUNK)
    candidates = jnp.take_along_axis(values, indices, axis=-1, mode="fill", fill_value=-jnp.inf)
    largest, chosen = lax.top_k(candidates, k)
    return largest, jnp.take_along_axis(indices, chosen, axis=-1)
