"""The numbers of parameters in closed form, to compare the counted ones with."""

from tfmr.config import CausalLMConfig


def closed_form(config) -> dict[str, int]:
    """Returns the number of parameters of each part, under the names of `parameter_table`."""
    parts = _causal_lm(config) if isinstance(config, CausalLMConfig) else _transformer(config)
    return {name: count for name, count in parts.items() if count}


def _transformer(config):
    d_model, vocab, final_norm = config.d_model, config.vocab_size, config.norm == "pre"
    table = {
        "embedding": vocab * d_model,
        "source_embedding": vocab * d_model if config.tie_embeddings in ("decoder", "none") else 0,
        "output_embedding": vocab * d_model if config.tie_embeddings in ("inputs", "none") else 0,
        "output_bias": vocab if config.output_bias else 0,
        "positions": {
            "learned": 2 * config.max_length * d_model,
            "relative": 2 * config.relative_buckets * config.num_heads,
        }.get(config.positions, 0),
    }
    up, down = (
        (rows + config.feed_forward_bias) * size for rows, size in ((d_model, config.d_ff), (config.d_ff, d_model))
    )
    stacks = {
        "encoder": (config.num_encoder_layers, ["self_attention"]),
        "decoder": (config.num_decoder_layers, ["self_attention", "cross_attention"]),
    }
    for stack, (num_layers, attentions) in stacks.items():
        for attention in attentions:
            if stack == "decoder" and attention == "self_attention" and config.decoder_recurrence == "ssru":
                table[f"{stack}/recurrence/input"] = num_layers * d_model**2
                table[f"{stack}/recurrence/forget"] = num_layers * (d_model + 1) * d_model
                continue
            for name, size in _attention(config, config.attention_bias).items():
                table[f"{stack}/{attention}/{name}"] = num_layers * size
        table[f"{stack}/feed_forward/up"] = num_layers * up
        table[f"{stack}/feed_forward/gate"] = num_layers * up if config.gated else 0
        table[f"{stack}/feed_forward/down"] = num_layers * down
        norms = num_layers * (len(attentions) + 1) + final_norm
        table[f"{stack}/norms"] = norms * (1 if config.norm_type == "rms" else 2) * d_model
    return table


def _causal_lm(config):
    d_model, d_ff, layers = config.d_model, config.d_ff, config.num_layers
    up = (d_model + config.bias) * d_ff
    attention = _attention(config, config.bias)
    return {
        "embedding": config.vocab_size * d_model,
        "output_embedding": 0 if config.tie_embeddings else config.vocab_size * d_model,
        "positions": config.max_length * d_model if config.positions == "learned" else 0,
        **{f"decoder/self_attention/{name}": layers * size for name, size in attention.items()},
        "decoder/feed_forward/up": layers * up,
        "decoder/feed_forward/gate": layers * up if config.gated else 0,
        "decoder/feed_forward/down": layers * (d_ff + config.bias) * d_model,
        "decoder/norms": (2 * layers + (config.norm == "pre")) * (1 + config.bias) * d_model,
    }


def _attention(config, bias):
    keys, values = config.num_heads * config.d_k, config.num_heads * config.d_v
    inputs, output = config.d_model + bias, values * config.d_model + bias * config.d_model
    return {"query": inputs * keys, "key": inputs * keys, "value": inputs * values, "output": output}
