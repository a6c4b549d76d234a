"""Where a Transformer's parameters are and what it costs to run, in closed form.

A matrix product of [m, k] and [k, n] counts 2 m k n floating-point operations.
"""

from tfmr.config import TransformerConfig


def parameter_table(config: TransformerConfig) -> dict[str, int]:
    """Returns the number of parameters of each part, biases with their matrices.

    The parts of all layers of a stack are summed: `encoder/self_attention/query` is the query projections of all
    encoder layers. Parts that the model does not have are left out.
    """
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
    weights, biases = _attention_weights(config), _attention_biases(config)
    for stack, (num_layers, attentions) in stacks.items():
        for attention in attentions:
            for name in weights:
                table[f"{stack}/{attention}/{name}"] = num_layers * (weights[name] + biases[name])
        table[f"{stack}/feed_forward/up"] = num_layers * (d_model + 1) * config.d_ff
        table[f"{stack}/feed_forward/down"] = num_layers * (config.d_ff + 1) * d_model
        norms = num_layers * (len(attentions) + 1) + final_norm
        table[f"{stack}/norms"] = norms * 2 * d_model
    return {name: count for name, count in table.items() if count}


def _attention_weights(config: TransformerConfig) -> dict[str, int]:
    """Returns the sizes of the matrices of one attention block."""
    keys = config.d_model * config.num_heads * config.d_k
    values = config.d_model * config.num_heads * config.d_v
    return {"query": keys, "key": keys, "value": values, "output": values}


def _attention_biases(config: TransformerConfig) -> dict[str, int]:
    """Returns the sizes of the biases of one attention block."""
    keys, values = config.num_heads * config.d_k, config.num_heads * config.d_v
    sizes = {"query": keys, "key": keys, "value": values, "output": config.d_model}
    return {name: size if config.attention_bias else 0 for name, size in sizes.items()}


def parameter_count(config: TransformerConfig) -> int:
    """Returns the number of parameters: 63.05 million for base and 214.2 for big, with a vocabulary of 37 000."""
    return sum(parameter_table(config).values())


def forward_flops(config: TransformerConfig, source_length: int, target_length: int) -> dict[str, int]:
    """Returns the floating-point operations of the matrix products of a forward pass over one pair of sentences.

    For sequences of n and m tokens:
      projections: 2 operations a weight and token. Keys and values of the cross-attention are made of the source,
        its queries and outputs of the target.
      attention: 2 n m h (d_k + d_v) for the scores and the weighted sums. The look-ahead mask saves nothing, as
        scores are computed first and masked then.
      feed_forward: 4 n d_model d_ff.
      logits: 2 m d_model V.

    Softmax, norms, biases, dropout and residual sums are left out: they grow with d_model, not with its square.
    """
    attention, pair_cost = _attention_weights(config), 2 * config.num_heads * (config.d_k + config.d_v)
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


def training_flops_per_token(config: TransformerConfig, source_length: int = 32, target_length: int = 32) -> float:
    """Returns the floating-point operations of training on one target token, its share of the source included.

    Three times the forward pass: each matrix product has two in the backward pass, of the same size. Layers that are
    recomputed (`remat`) are not counted again: these are the operations that the model needs, not those that are spent.

    Args:
      config: the shape of the model.
      source_length: tokens of the source.
      target_length: tokens of the target.
    """
    return 3 * sum(forward_flops(config, source_length, target_length).values()) / target_length
