"""Scaled dot-product attention on TPUs for rows that are too long for `fused_attention`: JAX's splash attention."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jaxtyping import Float, Int

from tfmr.nn.masks import segment_mask
from tfmr.nn.platform import KEPT_BY_KERNELS

BLOCKS = (512, 256, 128)
"""Lengths of a block of queries or keys, the preferred one first. The lengths of rows must be multiples of one."""


def long_attention(
    query: Float[Array, "batch query heads_x_d_k"],
    key: Float[Array, "batch key heads_x_d_k"],
    value: Float[Array, "batch key heads_x_d_v"],
    query_segments: Int[Array, "batch query"] | None = None,
    key_segments: Int[Array, "batch key"] | None = None,
    *,
    num_heads: int,
    causal: bool = False,
    scale: float | None = None,
    interpret: bool = False,
) -> Float[Array, "batch query heads_x_d_v"]:
    """softmax(Q K^T / sqrt(d_k)) V for each head; arguments and result are those of `fused_attention`.

    With `causal` there are as many queries as keys. Every length is a multiple of 128.
    """
    lengths = query.shape[1], key.shape[1]
    mask = masks.CausalMask(lengths) if causal else masks.FullMask(lengths)
    of_queries, of_keys = (next(block for block in BLOCKS if length % block == 0) for length in lengths)
    blocks = splash.BlockSizes(
        block_q=of_queries,
        block_kv=of_keys,
        block_kv_compute=of_keys,
        block_q_dkv=of_queries,
        block_kv_dkv=of_keys,
        block_kv_dkv_compute=of_keys,
        use_fused_bwd_kernel=True,
    )
    attend: Any = splash.make_splash_mha_single_device(
        masks.MultiHeadMask([mask] * num_heads),
        block_sizes=blocks,
        interpret=interpret,
        residual_checkpoint_name=KEPT_BY_KERNELS,
    )

    def heads(x: Array) -> Array:
        return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)

    factor: float = (query.shape[-1] // num_heads) ** -0.5 if scale is None else scale
    arrays = heads(query * factor), heads(key), heads(value)

    def joined(output: Array) -> Array:
        return output.swapaxes(1, 2).reshape(*query.shape[:2], -1)

    if query_segments is None or key_segments is None:
        return joined(jax.vmap(attend)(*arrays))
    ids = splash.SegmentIds(query_segments.astype(jnp.int32), key_segments.astype(jnp.int32))
    output = joined(jax.vmap(lambda *x: attend(*x[:3], segment_ids=x[3]))(*arrays, ids))
    # Splash attention returns the mean of all values for a query without any key.
    seen = segment_mask(query_segments, key_segments).any(axis=(1, 3))
    return jnp.where(seen[:, :, None], output, 0)
