"""Label-smoothed cross entropy (section 5.4), computed without materialising all logits.

The logits of a batch are the largest array of a training step: 25 000 tokens times a vocabulary of 37 000 take 3.7 GB.
Here the states are multiplied by the output table a few target positions at a time, and the gradient of each piece is
computed while its logits are still in cache. Each logit is computed once and none is stored.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, PRNGKeyArray

from tfmr.models import Model


@flax.struct.dataclass
class LossSums:
    """Sums over the tokens of a batch. Divide them by `tokens` for means per token."""

    loss: Float[Array, ""]
    """Label-smoothed cross entropy in nats, which training minimises."""
    cross_entropy: Float[Array, ""]
    """Cross entropy without smoothing in nats, from which perplexity is computed. It has no gradient."""
    tokens: Float[Array, ""]
    """Number of tokens: the sum of the weights."""


def token_loss(
    model: Model,
    params: Any,
    batch: Mapping[str, Any],
    *,
    label_smoothing: float,
    chunk: int,
    dropout_key: PRNGKeyArray | None = None,
) -> LossSums:
    """Returns the sums of the loss of a model that predicts `target_output`.

    Args:
      model: the model.
      params: its parameters.
      batch: int32 arrays [rows, length] by name. Positions whose `target_segments` are 0 do not count.
      label_smoothing: see `label_smoothed_cross_entropy`.
      chunk: see `label_smoothed_cross_entropy`.
      dropout_key: the random key for dropout. None: no dropout.
    """
    apply: Any = model.apply
    states, table = apply(
        {"params": params},
        **model.inputs_of(batch),
        deterministic=dropout_key is None,
        rngs=None if dropout_key is None else {"dropout": dropout_key},
        method="states_and_output_table",
    )
    weights = (jnp.asarray(batch["target_segments"]) != 0).astype(jnp.float32)
    return label_smoothed_cross_entropy(
        states, table, batch["target_output"], weights, label_smoothing=label_smoothing, chunk=chunk
    )


def label_smoothed_cross_entropy(
    states: Float[Array, "batch target d_model"],
    table: Float[Array, "vocab d_model"],
    targets: Int[Array, "batch target"],
    weights: Float[Array, "batch target"],
    *,
    label_smoothing: float,
    chunk: int,
) -> LossSums:
    """Returns the sums of the loss of logits = states @ table.T.

    The target distribution spreads `label_smoothing` uniformly over the whole vocabulary and adds 1 - label_smoothing
    to the target token.

    Args:
      states: the decoder's output, float32 or bfloat16.
      table: the output embedding, float32. The product is computed in the type of the states.
      targets: the target tokens.
      weights: 1 for tokens that count, 0 for padding.
      label_smoothing: probability mass that is spread over the vocabulary.
      chunk: the maximum number of tokens whose logits exist at a time, as far as the target length can be divided.
    """
    pieces = _num_pieces(states.shape[0], states.shape[1], chunk)
    sums: Any = _sums(states, table, targets, weights, label_smoothing, pieces)
    loss, cross_entropy = sums
    return LossSums(loss, lax.stop_gradient(cross_entropy), weights.sum())


def _num_pieces(batch: int, length: int, chunk: int) -> int:
    """Returns the smallest number of equal pieces of the length that have at most `chunk` tokens each."""
    return next(n for n in range(1, length + 1) if length % n == 0 and (batch * length // n <= chunk or n == length))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _sums(
    states: Array, table: Array, targets: Array, weights: Array, label_smoothing: float, pieces: int
) -> tuple[Array, Array]:
    narrow_table = table.astype(states.dtype)

    def add_piece(sums: tuple[Array, Array], piece: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        loss, cross_entropy, _, _ = _piece(*piece, narrow_table, label_smoothing)
        return (sums[0] + loss, sums[1] + cross_entropy), None

    sums, _ = lax.scan(add_piece, (jnp.float32(0), jnp.float32(0)), _split((states, targets, weights), pieces))
    return sums


def _sums_and_gradients(
    states: Array, table: Array, targets: Array, weights: Array, label_smoothing: float, pieces: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    narrow_table = table.astype(states.dtype)
    vocab = table.shape[0]

    def add_piece(carry: tuple[Array, Array, Array], piece: tuple[Array, Array, Array]):
        loss, cross_entropy, exponentials, normaliser = _piece(*piece, narrow_table, label_smoothing)
        states, targets, weights = piece
        # weights * (softmax(logits) - smoothed one-hot)
        target = (targets[..., None] == jnp.arange(vocab)) * (1.0 - label_smoothing)
        gradient = weights[..., None] * (exponentials / normaliser - target - label_smoothing / vocab)
        gradient = gradient.astype(states.dtype)
        d_states = jnp.einsum("nv,vd->nd", gradient, narrow_table)
        d_table = jnp.einsum("nv,nd->vd", gradient, states, preferred_element_type=jnp.float32)
        return (carry[0] + loss, carry[1] + cross_entropy, carry[2] + d_table), d_states

    start = (jnp.float32(0), jnp.float32(0), jnp.zeros(table.shape, jnp.float32))
    (loss, cross_entropy, d_table), d_states = lax.scan(add_piece, start, _split((states, targets, weights), pieces))
    batch, target, d_model = states.shape
    d_states = d_states.reshape(pieces, batch, target // pieces, d_model)
    d_states = jnp.moveaxis(d_states, 0, 1).reshape(states.shape)
    return (loss, cross_entropy), (d_states, d_table)


def _scale_gradients(label_smoothing: float, pieces: int, gradients: tuple[Array, Array], cotangents: tuple):
    d_states, d_table = gradients
    scale = cotangents[0]  # the cross entropy is behind a stop_gradient, so its cotangent is zero
    return d_states * scale.astype(d_states.dtype), d_table * scale, None, None


_sums.defvjp(_sums_and_gradients, _scale_gradients)


def _split(arrays: tuple[Array, ...], pieces: int) -> Any:
    """Reshapes [batch, target, ...] to [pieces, tokens, ...]. Each piece spans the whole batch."""

    def split(x: Array) -> Array:
        batch, target, *rest = x.shape
        x = jnp.moveaxis(x.reshape(batch, pieces, target // pieces, *rest), 1, 0)
        return x.reshape(pieces, -1, *rest)

    return jax.tree.map(split, arrays)


def _piece(
    states: Array, targets: Array, weights: Array, table: Array, label_smoothing: float
) -> tuple[Array, Array, Array, Array]:
    """Returns the sums of smoothed loss and cross entropy, exp(logits - max), and its sum over the vocabulary."""
    logits = jnp.einsum("nd,vd->nv", states, table, preferred_element_type=jnp.float32)
    highest = logits.max(axis=-1, keepdims=True)
    exponentials = jnp.exp(logits - highest)
    normaliser = exponentials.sum(axis=-1, keepdims=True)
    logsumexp = (jnp.log(normaliser) + highest)[..., 0]
    # Computing the target's logit and the mean logit from the table saves two passes over the logits.
    target_logit = jnp.einsum("nd,nd->n", states, table[targets], preferred_element_type=jnp.float32)
    mean_logit = jnp.einsum("nd,d->n", states, table.mean(axis=0), preferred_element_type=jnp.float32)
    cross_entropy = logsumexp - target_logit
    loss = logsumexp - (1.0 - label_smoothing) * target_logit - label_smoothing * mean_logit
    return jnp.sum(weights * loss), jnp.sum(weights * cross_entropy), exponentials, normaliser
