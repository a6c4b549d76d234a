"""Where a Transformer's parameters are and what it costs to run, in closed form.

A matrix product of [m, k] and [k, n] counts 2 m k n floating-point operations.
"""

from tfmr.config import CausalLMConfig, ModelConfig, TransformerConfig


def parameter_table(config: ModelConfig) -> dict[str, int]:
    """Returns the number of parameters of each part, biases with their matrices.

    The parts of all layers of a stack are summed: `encoder/self_attention/query` is the query projections of all
    encoder layers. Parts that the model does not have are left out.
    """
    parts = _causal_lm_parts(config) if isinstance(config, CausalLMConfig) else _transformer_parts(config)
    return {name: count for name, count in parts.items() if count}


def _transformer_parts(config: TransformerConfig) -> dict[str, int]:
    d_model, vocab, final_norm = config.d_model, config.vocab_size, config.norm == "pre"
    table = {
        "embedding": vocab * d_model,
        "source_embedding": vocab * d_model if config.tie_embeddings != "all" else 0,
        "output_embedding": vocab * d_model if config.tie_embeddings == "none" else 0,
        "output_bias": vocab if config.output_bias else 0,
        "positions": 2 * config.max_length * d_model if config.positions == "learned" else 0,
    }
    stacks = {
        "encoder": (config.num_encoder_layers, ["self_attention"]),
        "decoder": (config.num_decoder_layers, ["self_attention", "cross_attention"]),
    }
    weights, biases = attention_matrices(config), _attention_biases(config)
    for stack, (num_layers, attentions) in stacks.items():
        for attention in attentions:
            for name in weights:
                table[f"{stack}/{attention}/{name}"] = num_layers * (weights[name] + biases[name])
        table[f"{stack}/feed_forward/up"] = num_layers * (d_model + 1) * config.d_ff
        table[f"{stack}/feed_forward/down"] = num_layers * (config.d_ff + 1) * d_model
        norms = num_layers * (len(attentions) + 1) + final_norm
        table[f"{stack}/norms"] = norms * 2 * d_model
    return table


def _causal_lm_parts(config: CausalLMConfig) -> dict[str, int]:
    d_model, d_ff, layers = config.d_model, config.d_ff, config.num_layers
    up = (d_model + config.bias) * d_ff
    weights, biases = attention_matrices(config), _attention_biases(config)
    attention = {f"decoder/self_attention/{name}": layers * (weights[name] + biases[name]) for name in weights}
    return {
        "embedding": config.vocab_size * d_model,
        "output_embedding": 0 if config.tie_embeddings else config.vocab_size * d_model,
        "positions": config.max_length * d_model if config.positions == "learned" else 0,
        **attention,
        "decoder/feed_forward/up": layers * up,
        "decoder/feed_forward/gate": layers * up if config.gated else 0,
        "decoder/feed_forward/down": layers * (d_ff + config.bias) * d_model,
        "decoder/norms": (2 * layers + (config.norm == "pre")) * (1 + config.bias) * d_model,
    }


def attention_matrices(config: ModelConfig) -> dict[str, int]:
    """Returns the sizes of the four matrices of one attention block, biases not counted."""
    keys = config.d_model * config.num_heads * config.d_k
    values = config.d_model * config.num_heads * config.d_v
    return {"query": keys, "key": keys, "value": values, "output": values}


def _attention_biases(config: ModelConfig) -> dict[str, int]:
    """Returns the sizes of the biases of one attention block."""
    keys, values = config.num_heads * config.d_k, config.num_heads * config.d_v
    sizes = {"query": keys, "key": keys, "value": values, "output": config.d_model}
    there = config.bias if isinstance(config, CausalLMConfig) else config.attention_bias
    return {name: size if there else 0 for name, size in sizes.items()}


def parameter_count(config: ModelConfig) -> int:
    """Returns the number of parameters: 63.05 million for base and 214.2 for big, with a vocabulary of 37 000."""
    return sum(parameter_table(config).values())


def forward_flops(config: ModelConfig, source_length: int, target_length: int) -> dict[str, int]:
    """Returns the floating-point operations of the matrix products of a forward pass over one pair of sentences.

    Or over one text, which is the target: a language model has no source.

    For sequences of n and m tokens:

    - projections: 2 operations a weight and token. Keys and values of the cross-attention are made of the source, its
      queries and outputs of the target.
    - attention: 2 n m h (d_k + d_v) for the scores and the weighted sums. The look-ahead mask saves nothing, as scores
      are computed first and masked then.
    - feed_forward: 4 n d_model d_ff; with a gate 6 n d_model d_ff.
    - logits: 2 m d_model V.

    Softmax, norms, biases, dropout and residual sums are left out: they grow with d_model, not with its square.
    """
    if isinstance(config, CausalLMConfig):
        return _causal_lm_flops(config, target_length)
    attention, pair_cost = attention_matrices(config), 2 * config.num_heads * (config.d_k + config.d_v)
    queries, keys = attention["query"] + attention["output"], attention["key"] + attention["value"]
    encoder, decoder = config.num_encoder_layers, config.num_decoder_layers
    feed_forward = 4 * config.d_model * config.d_ff
    self_projections, cross_keys = 2 * (queries + keys), 2 * keys
    return {
        "encoder/projections": encoder * source_length * self_projections,
        "encoder/attention": encoder * source_length**2 * pair_cost,
        "encoder/feed_forward": encoder * source_length * feed_forward,
        "decoder/projections": decoder
        * (target_length * (self_projections + 2 * queries) + source_length * cross_keys),
        "decoder/attention": decoder * target_length * (target_length + source_length) * pair_cost,
        "decoder/feed_forward": decoder * target_length * feed_forward,
        "logits": 2 * target_length * config.d_model * config.vocab_size,
    }


def _causal_lm_flops(config: CausalLMConfig, length: int) -> dict[str, int]:
    layers, projections = config.num_layers, 2 * sum(attention_matrices(config).values())
    feed_forward = (3 if config.gated else 2) * 2 * config.d_model * config.d_ff
    return {
        "decoder/projections": layers * length * projections,
        "decoder/attention": layers * length**2 * 2 * config.num_heads * (config.d_k + config.d_v),
        "decoder/feed_forward": layers * length * feed_forward,
        "logits": 2 * length * config.d_model * config.vocab_size,
    }


def training_flops_per_token(config: ModelConfig, source_length: int = 32, target_length: int = 32) -> float:
    """Returns the floating-point operations of training on one target token, its share of the source included.

    Three times the forward pass: each matrix product has two in the backward pass, of the same size. Layers that are
    recomputed (`remat`) are not counted again: these are the operations that the model needs, not those that are spent.

    Args:
      config: the shape of the model.
      source_length: tokens of the source.
      target_length: tokens of the target.
    """
    return 3 * sum(forward_flops(config, source_length, target_length).values()) / target_length
