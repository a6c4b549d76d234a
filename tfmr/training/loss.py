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
from tfmr.nn.embedding import take_rows
from tfmr.nn.platform import mesh_parts, platform

_LOGITS_BYTES = 2**29
"""Bytes of logits, in float32, that exist at a time on an accelerator. With fewer, the sum of the output table's
gradient is read and written more often; more of them only take memory."""


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
    chunk: int = 0,
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
    chunk: int = 0,
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
      chunk: the maximum number of tokens per device whose logits exist at a time, as far as the target length can be
        divided. 0: 512 on a CPU, and on other chips as many as have 512 MiB of logits. With a symbolic batch size or
        length (`jax.export`), all logits exist at once.
    """
    weights = weights.astype(jnp.promote_types(states.dtype, jnp.float32))
    chunk = chunk or automatic_chunk(table.shape[0])
    pieces = _num_pieces(states.shape[0], states.shape[1], chunk * mesh_parts("batch"))
    sums: Any = _sums(states, table, targets, weights, label_smoothing, pieces)
    loss, cross_entropy = sums
    return LossSums(loss, lax.stop_gradient(cross_entropy), weights.sum())


def automatic_chunk(vocab_size: int) -> int:
    """Returns the number of tokens per device for which logits exist at a time, if the caller sets none."""
    # 512 tokens have logits that stay in a CPU's cache.
    return 512 if platform() == "cpu" else max(1, _LOGITS_BYTES // (4 * vocab_size))


def _num_pieces(batch: int, length: int, chunk: int) -> int:
    """Returns the smallest number of equal pieces of the length that have at most `chunk` tokens each.

    If `jax.export` leaves a size open, there is one piece.
    """
    if not (isinstance(batch, int) and isinstance(length, int)):
        return 1
    return next(n for n in range(1, length + 1) if length % n == 0 and (batch * length // n <= chunk or n == length))


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
@jax.named_scope("loss")
def _sums(
    states: Array, table: Array, targets: Array, weights: Array, label_smoothing: float, pieces: int
) -> tuple[Array, Array]:
    narrow_table = table.astype(states.dtype)

    def add_piece(sums: tuple[Array, Array], piece: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        loss, cross_entropy, _, _ = _piece(*piece, narrow_table, label_smoothing)
        weights = piece[2]
        return (sums[0] + jnp.sum(weights * loss), sums[1] + jnp.sum(weights * cross_entropy)), None

    zero = _zeros((), states, table, targets, weights)
    sums, _ = lax.scan(add_piece, (zero, zero), _split((states, targets, weights), pieces))
    return sums


@_sums.defjvp
@jax.named_scope("loss")
def _sums_and_tangents(
    label_smoothing: float, pieces: int, primals: tuple[Array, ...], tangents: tuple[Any, ...]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Computes the gradient along with the loss. The tangents are linear in it, so reverse mode only scales it."""
    states, table, targets, weights = primals
    narrow_table = table.astype(states.dtype)
    vocab = table.shape[0]

    def add_piece(carry: tuple[Array, Array, Array], piece: tuple[Array, Array, Array]):
        loss, cross_entropy, exponentials, normaliser = _piece(*piece, narrow_table, label_smoothing)
        states, targets, weights = piece
        # weights * (softmax(logits) - smoothed one-hot)
        target = (targets[:, None] == jnp.arange(vocab)[None]) * (1.0 - label_smoothing)
        gradient = weights[:, None] * (exponentials / normaliser - target - label_smoothing / vocab)
        gradient = gradient.astype(states.dtype)
        d_states = jnp.einsum("nv,vd->nd", gradient, narrow_table)
        d_table = jnp.einsum("nv,nd->vd", gradient, states, preferred_element_type=weights.dtype)
        sums = carry[0] + jnp.sum(weights * loss), carry[1] + jnp.sum(weights * cross_entropy), carry[2] + d_table
        return sums, (d_states, loss)

    zero, zeros = (_zeros(shape, states, table, targets, weights) for shape in ((), table.shape))
    (loss, cross_entropy, d_table), by_piece = lax.scan(
        add_piece, (zero, zero, zeros), _split((states, targets, weights), pieces)
    )
    d_states, losses = _join(by_piece, targets.shape)
    t_states, t_table, _, t_weights = tangents

    def inner(gradient: Array, tangent: Array) -> Array:
        return jnp.sum(gradient.astype(loss.dtype) * tangent.astype(loss.dtype))

    t_loss = inner(d_states, t_states) + inner(d_table, t_table) + inner(losses, t_weights)
    return (loss, cross_entropy), (t_loss, jnp.zeros_like(cross_entropy))


def _zeros(shape: tuple[int, ...], *arrays: Array) -> Array:
    """Returns zeros of the last array's type, which vary over the mesh axes of `jax.shard_map` as the arrays do."""
    dtype = arrays[-1].dtype
    return jnp.zeros(shape, dtype) + sum(jnp.zeros_like(x, dtype, shape=()) for x in arrays)


def _split(arrays: tuple[Array, ...], pieces: int) -> Any:
    """Reshapes [batch, target, ...] to [pieces, tokens, ...]. Each piece spans the whole batch."""

    def split(x: Array) -> Array:
        batch, target, *rest = x.shape
        x = jnp.moveaxis(x.reshape(batch, pieces, target // pieces, *rest), 1, 0)
        return x.reshape(pieces, -1, *rest)

    return jax.tree.map(split, arrays)


def _join(arrays: Any, shape: tuple[int, ...]) -> Any:
    """Inverts `_split` for arrays [pieces, tokens, ...]; the shape is [batch, target]."""
    batch, target = shape

    def join(x: Array) -> Array:
        pieces, _, *rest = x.shape
        x = x.reshape(pieces, batch, target // pieces, *rest)
        return jnp.moveaxis(x, 0, 1).reshape(batch, target, *rest)

    return jax.tree.map(join, arrays)


def _piece(
    states: Array, targets: Array, weights: Array, table: Array, label_smoothing: float
) -> tuple[Array, Array, Array, Array]:
    """Returns smoothed loss and cross entropy of each token, exp(logits - max), and its sum over the vocabulary."""
    product = functools.partial(jnp.einsum, preferred_element_type=weights.dtype)
    logits = product("nd,vd->nv", states, table)
    highest = logits.max(axis=-1, keepdims=True)
    exponentials = jnp.exp(logits - highest)
    normaliser = exponentials.sum(axis=-1, keepdims=True)
    logsumexp = (jnp.log(normaliser) + highest)[..., 0]
    # Computing the target's logit and the mean logit from the table saves two passes over the logits.
    target_logit = product("nd,nd->n", states, take_rows(table, targets))
    mean_logit = product("nd,d->n", states, table.mean(axis=0))
    cross_entropy = logsumexp - target_logit
    loss = logsumexp - (1.0 - label_smoothing) * target_logit - label_smoothing * mean_logit
    return loss, cross_entropy, exponentials, normaliser
