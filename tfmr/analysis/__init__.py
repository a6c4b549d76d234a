"""Analysis of models: parameter and FLOP counts, compiled programs, and plots.

Every plot is a matplotlib figure without a window. Notebooks show it; `figure.savefig("plot.png")` writes it to a file.
"""

from tfmr.errors import require_packages

require_packages("matplotlib")

from tfmr.analysis.attention_maps import (
    SentenceAttention,
    attention_weights,
    plot_sentence_attention,
    plot_text_attention,
    sentence_attention,
)
from tfmr.analysis.attention_pictures import plot_attention, plot_attention_layers
from tfmr.analysis.beam_pictures import plot_beam_tree
from tfmr.analysis.learning_curves import Curve, plot_learning_curves, plot_schedules, read_metrics
from tfmr.analysis.neighbours import Neighbours, nearest_tokens, plot_embedding_map, plot_neighbours, token_embeddings
from tfmr.analysis.position_pictures import plot_position_products, plot_positions, position_vectors
from tfmr.models.account import (
    attention_share,
    cache_bytes,
    forward_flops,
    parameter_count,
    parameter_table,
    training_bytes,
    training_flops_per_token,
    weight_breakdown,
)

__all__ = [
    "Curve",
    "Neighbours",
    "SentenceAttention",
    "attention_share",
    "attention_weights",
    "cache_bytes",
    "forward_flops",
    "nearest_tokens",
    "parameter_count",
    "parameter_table",
    "plot_attention",
    "plot_attention_layers",
    "plot_beam_tree",
    "plot_embedding_map",
    "plot_learning_curves",
    "plot_neighbours",
    "plot_position_products",
    "plot_positions",
    "plot_schedules",
    "plot_sentence_attention",
    "plot_text_attention",
    "position_vectors",
    "read_metrics",
    "sentence_attention",
    "token_embeddings",
    "training_bytes",
    "training_flops_per_token",
    "weight_breakdown",
]
