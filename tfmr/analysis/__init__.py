"""Looking at models: where parameters and operations go, attention maps, learning curves."""

from tfmr.analysis.account import forward_flops, parameter_count, parameter_table, training_flops_per_token
from tfmr.analysis.attention_maps import attention_weights, plot_attention
from tfmr.analysis.breakdown import attention_share, cache_bytes, training_bytes, weight_breakdown
from tfmr.analysis.learning_curves import Curve, plot_learning_curves, read_metrics

__all__ = [
    "Curve",
    "attention_share",
    "attention_weights",
    "cache_bytes",
    "forward_flops",
    "parameter_count",
    "parameter_table",
    "plot_attention",
    "plot_learning_curves",
    "read_metrics",
    "training_bytes",
    "training_flops_per_token",
    "weight_breakdown",
]
