"""What an encoder-decoder Transformer costs to run."""

import jax.numpy as jnp

from tfmr.config import TransformerConfig
from tfmr.models.account import causal_attention_flops, flops_per_score, projection_sizes
from tfmr.models.model import Account


def _forward_flops(config: TransformerConfig, source_length: int, target_length: int) -> dict[str, int]:
    encoder, decoder, sizes = config.num_encoder_layers, config.num_decoder_layers, projection_sizes(config)
    queries, keys = 2 * (sizes["query"] + sizes["output"]), 2 * (sizes["key"] + sizes["value"])
    feed_forward = (3 if config.gated else 2) * 2 * config.d_model * config.d_ff
    per_score, scores = flops_per_score(config), causal_attention_flops(config, target_length)
    own = queries + keys
    recurrence = {}
    if config.decoder_recurrence == "ssru":
        scores = own = 0
        recurrence = {"decoder/recurrence": decoder * target_length * 4 * config.d_model**2}
    return {
        "encoder/projections": encoder * source_length * (queries + keys),
        "encoder/attention": encoder * source_length**2 * per_score,
        "encoder/feed_forward": encoder * source_length * feed_forward,
        "decoder/projections": decoder * (target_length * (own + queries) + source_length * keys),
        **recurrence,
        "decoder/attention": decoder * (scores + target_length * source_length * per_score),
        "decoder/feed_forward": decoder * target_length * feed_forward,
        "logits": 2 * target_length * config.d_model * config.vocab_size,
    }


def _cache_bytes(config: TransformerConfig, length: int) -> int:
    keys_values = config.num_heads * (config.d_k + config.d_v) * jnp.dtype(config.dtype).itemsize
    own = 4 * config.d_model if config.decoder_recurrence == "ssru" else keys_values  # states are float32
    return config.num_decoder_layers * length * (own + keys_values)


ACCOUNT = Account(_forward_flops, _cache_bytes)
