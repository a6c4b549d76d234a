"""The decoder-only language model."""

from dataclasses import dataclass
from typing import Literal

from tfmr.config.checks import Checks
from tfmr.config.model import ModelConfig, check_token_model


@dataclass(frozen=True)
class CausalLMConfig(ModelConfig):
    """The shape of a language model: a decoder that predicts each token from the tokens before it.

    The defaults are the smallest GPT-2.
    """

    vocab_size: int = 0
    """Number of tokens. 0: taken from the tokenizer."""
    num_layers: int = 12
    """Number of layers, N."""
    d_model: int = 768
    """Width of every sub-layer's input and output."""
    d_ff: int = 3072
    """Inner width of the position-wise feed-forward networks."""
    num_heads: int = 12
    """Number of attention heads, h."""
    d_k: int = 64
    """Width of the queries and keys of each head; independent of d_model / num_heads."""
    d_v: int = 64
    """Width of the values of each head; independent of d_model / num_heads."""
    max_length: int = 1024
    """Context window: the maximum number of tokens from which the next one is predicted."""
    dropout_rate: float = 0.1
    """Dropout rate for the sum of embeddings and positions and for the output of every sub-layer."""
    attention_dropout_rate: float = 0.1
    """Dropout rate for attention weights."""
    norm: Literal["post", "pre"] = "pre"
    """Apply LayerNorm after the residual sum (post), or before the sub-layer and after the last layer (pre)."""
    norm_epsilon: float = 1e-5
    """Epsilon added to the variance in LayerNorm."""
    positions: Literal["sinusoidal", "learned"] = "learned"
    """Type of position encoding."""
    bias: bool = True
    """Add biases to projections, feed-forward networks and norms."""
    activation: Literal["relu", "gelu", "swish"] = "gelu"
    """Activation of the feed-forward networks; gelu is the tanh approximation."""
    gated: bool = False
    """Use gated feed-forward networks, activation(x W_gate) * (x W_up), which have a third matrix."""
    tie_embeddings: bool = True
    """Compute the logits with the embedding matrix instead of a separate one."""
    scale_embeddings: bool = False
    """Multiply embeddings by sqrt(d_model), as in the paper, to match the scale of sinusoidal positions."""
    init_std: float = 0.02
    """Standard deviation of the initial weights. For the projections that write to the residual stream (attention
    output and down-projection) it is divided by sqrt(2 num_layers)."""
    scan_layers: bool = False
    """Compile a single layer and scan it over stacked parameters. Compiles deep models faster, but runs slower."""
    remat: bool = False
    """Recompute each layer in the backward pass instead of storing its activations."""
    attention: Literal["auto", "xla", "pallas", "cudnn"] = "auto"
    """What computes attention. auto: a kernel that keeps the scores on the chip, pallas on TPUs and cudnn on GPUs, if
    it can serve (the weights must not have dropout); otherwise XLA. xla: always XLA. On other devices than its own, a
    kernel is only for tests."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type of the computation. Parameters, softmax and norms stay in float32."""

    def __post_init__(self):
        check = Checks("model", self)
        check.positive("num_layers", "d_model", "d_ff", "num_heads", "d_k", "d_v", "max_length", "norm_epsilon")
        check.positive("init_std")
        check_token_model(self, check)

    @property
    def longest_sequence(self) -> int:
        """The context window."""
        return self.max_length
