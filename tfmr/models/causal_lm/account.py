"""What a language model costs to run."""

import jax.numpy as jnp

from tfmr.config import CausalLMConfig
from tfmr.models.account import causal_attention_flops, projection_sizes
from tfmr.models.model import Account


def _forward_flops(config: CausalLMConfig, _: int, length: int) -> dict[str, int]:
    layers, projections = config.num_layers, 2 * sum(projection_sizes(config).values())
    return {
        "decoder/projections": layers * length * projections,
        "decoder/attention": layers * causal_attention_flops(config, length),
        "decoder/feed_forward": layers * length * (3 if config.gated else 2) * 2 * config.d_model * config.d_ff,
        "logits": 2 * length * config.d_model * config.vocab_size,
    }


def _cache_bytes(config: CausalLMConfig, length: int) -> int:
    return config.num_layers * length * config.num_heads * (config.d_k + config.d_v) * jnp.dtype(config.dtype).itemsize


ACCOUNT = Account(_forward_flops, _cache_bytes)
