"""The paper's building blocks as Linen modules. They depend only on jax, flax, jaxtyping and NumPy."""

from tfmr.nn.attention import KeyValue, KeyValueCache, MultiHeadAttention
from tfmr.nn.dot_product_attention import causal_attention, scaled_dot_product_attention
from tfmr.nn.dropout import Dropout
from tfmr.nn.embedding import LearnedPositions, TokenEmbedding, sinusoidal_positions, tensor2tensor_positions
from tfmr.nn.feed_forward import PositionwiseFeedForward
from tfmr.nn.layer_norm import LayerNorm
from tfmr.nn.layers import DecoderLayer, DecoderLayerCache, EncoderLayer, LayerConfig
from tfmr.nn.masks import Segments, look_ahead_mask, padding_mask, segment_mask
from tfmr.nn.relative_positions import RelativePositionBias
from tfmr.nn.rms_norm import RMSNorm
from tfmr.nn.ssru import SSRU, SSRUCache
from tfmr.nn.stacks import Decoder, Encoder, stack_layers, unstack_layers

__all__ = [
    "SSRU",
    "Decoder",
    "DecoderLayer",
    "DecoderLayerCache",
    "Dropout",
    "Encoder",
    "EncoderLayer",
    "KeyValue",
    "KeyValueCache",
    "LayerConfig",
    "LayerNorm",
    "LearnedPositions",
    "MultiHeadAttention",
    "PositionwiseFeedForward",
    "RMSNorm",
    "RelativePositionBias",
    "SSRUCache",
    "Segments",
    "TokenEmbedding",
    "causal_attention",
    "look_ahead_mask",
    "padding_mask",
    "scaled_dot_product_attention",
    "segment_mask",
    "sinusoidal_positions",
    "stack_layers",
    "tensor2tensor_positions",
    "unstack_layers",
]
