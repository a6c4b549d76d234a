"""Where a model's weights are by their use, and the memory that it takes."""

from tfmr.config import CausalLMConfig, ModelConfig
from tfmr.models.account import attention_matrices, parameter_count

_BYTES = {"float32": 4, "bfloat16": 2}


def weight_breakdown(config: ModelConfig) -> dict[str, int]:
    """Returns the sizes of the matrices by their use, over all layers.

    It is counted as breakdowns of GPT-3 usually are: matrices only, no biases, norms or positions; and the unembedding
    is counted though it may be the same matrix as the embedding.
    """
    if isinstance(config, CausalLMConfig):
        attentions, layers, embeddings, gated = config.num_layers, config.num_layers, 1, config.gated
    else:
        attentions = config.num_encoder_layers + 2 * config.num_decoder_layers
        layers, gated = config.num_encoder_layers + config.num_decoder_layers, False
        embeddings = 1 if config.tie_embeddings == "all" else 2
    inner = layers * config.d_model * config.d_ff
    table = config.vocab_size * config.d_model
    return {
        "embedding": embeddings * table,
        **{name: attentions * size for name, size in attention_matrices(config).items()},
        "up projection": inner,
        **({"gate": inner} if gated else {}),
        "down projection": inner,
        "unembedding": table,
    }


def attention_share(config: ModelConfig) -> float:
    """Returns the share of query, key, value and output in `weight_breakdown`: a third of GPT-3."""
    table = weight_breakdown(config)
    return sum(table[name] for name in ("query", "key", "value", "output")) / sum(table.values())


def training_bytes(config: ModelConfig, *, moving_average: bool) -> int:
    """Returns the bytes of what a step reads and writes beside activations: parameters, gradient, Adam's two moments.

    All are float32, and so is the moving average of the parameters where one is kept.
    """
    return (4 + moving_average) * 4 * parameter_count(config)


def cache_bytes(config: ModelConfig, length: int) -> int:
    """Returns the bytes of all keys and values of one text of `length` tokens.

    Of a Transformer, those of the target so far and of a source that is as long.
    """
    kept = config.num_layers if isinstance(config, CausalLMConfig) else 2 * config.num_decoder_layers
    return kept * length * config.num_heads * (config.d_k + config.d_v) * _BYTES[config.dtype]
