"""The encoder-decoder Transformer."""

from dataclasses import dataclass
from typing import Literal

from tfmr.config.checks import Checks
from tfmr.config.model import ModelConfig, check_token_model


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """The shape of an encoder-decoder Transformer (section 3 of the paper).

    The defaults are the paper's base model.
    """

    vocab_size: int = 0
    """Number of tokens, shared by source and target. 0: taken from the tokenizer."""
    num_encoder_layers: int = 6
    """Number of encoder layers, N."""
    num_decoder_layers: int = 6
    """Number of decoder layers, N."""
    d_model: int = 512
    """Width of every sub-layer's input and output."""
    d_ff: int = 2048
    """Inner width of the position-wise feed-forward networks."""
    num_heads: int = 8
    """Number of attention heads, h."""
    d_k: int = 64
    """Width of the queries and keys of each head; independent of d_model / num_heads."""
    d_v: int = 64
    """Width of the values of each head; independent of d_model / num_heads."""
    dropout_rate: float = 0.1
    """Dropout rate for the sum of embeddings and positions and for the output of every sub-layer."""
    attention_dropout_rate: float = 0.0
    """Dropout rate for attention weights (0 in the paper's code)."""
    norm: Literal["post", "pre"] = "post"
    """Apply LayerNorm after the residual sum (post), as in the paper, or before the sub-layer (pre)."""
    norm_type: Literal["layer", "rms"] = "layer"
    """Normalise with LayerNorm, as in the paper, or with RMSNorm, which has no mean and no shift, as T5 does."""
    norm_epsilon: float = 1e-6
    """Epsilon added to the variance in norms (1e-6 in tensor2tensor, 1e-5 in PyTorch)."""
    positions: Literal["sinusoidal", "tensor2tensor", "fairseq", "learned", "relative", "relative_by_layer"] = (
        "sinusoidal"
    )
    """Type of position encoding (section 3.5; Table 3, row E). tensor2tensor: the sinusoids of that program and of
    Marian. fairseq: those of M2M100 and NLLB. relative: no position vectors, but a bias on the scores of self-attention
    that depends on the distance, as in T5; each stack has a table that all its layers share. relative_by_layer: each
    layer has its own table, as in umT5."""
    max_length: int = 1024
    """Number of learned positions, which limits the length of a sequence. Unused with other positions."""
    relative_buckets: int = 32
    """Number of groups of distances that relative positions tell apart. Half of them are single distances."""
    relative_max_distance: int = 128
    """Distance from which on relative positions tell nothing apart."""
    tie_embeddings: Literal["all", "decoder", "inputs", "none"] = "all"
    """Which embedding matrices are shared: source, target and output (all, section 3.4); target and output (decoder);
    source and target (inputs); or none."""
    scale_embeddings: bool = True
    """Multiply embeddings by sqrt(d_model), as in the paper. BART and T5 do not."""
    embedding_norm: bool = False
    """Apply LayerNorm to the sum of embeddings and positions, as BART does."""
    start_token: int = 2
    """Id of the token whose embedding starts a target: 2, BOS, or another one, which BOS then stands for: it has no
    embedding of its own and no probability. Models of fairseq start with 3, EOS, and T5 with 0, padding."""
    attention_bias: bool = False
    """Add biases to the attention projections. The paper's formulas have none; Marian has them."""
    scale_scores: bool = True
    """Divide attention scores by sqrt(d_k), as in the paper. T5 has smaller initial queries instead."""
    activation: Literal["relu", "gelu", "gelu_exact", "swish"] = "relu"
    """Activation of the feed-forward networks; gelu is the tanh approximation."""
    gated: bool = False
    """Use gated feed-forward networks, activation(x W_gate) * (x W_up), which have a third matrix."""
    feed_forward_bias: bool = True
    """Add biases to the feed-forward networks, as in the paper. T5 has none."""
    decoder_recurrence: Literal["none", "ssru"] = "none"
    """Recurrent unit in place of the decoder's self-attention. none: self-attention, as in the paper. ssru: the simpler
    simple recurrent unit (Kim et al. 2019) of fast translation models, whose decoding steps cost the same at every
    position."""
    output_bias: bool = False
    """Add a bias to the logits, as Marian does."""
    scale_output: bool = False
    """Divide the decoder's output by sqrt(d_model) before it is multiplied by the output embedding, as T5 does."""
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
        check.positive("num_encoder_layers", "num_decoder_layers", "d_model", "d_ff", "num_heads", "d_k", "d_v")
        check.positive("max_length", "norm_epsilon")
        relative = self.positions.startswith("relative") and self.decoder_recurrence != "none"
        check.require(
            "decoder_recurrence", not relative, "must be none with relative positions, a bias of self-attention"
        )
        check.at_least_zero("start_token")
        fits = self.vocab_size == 0 or self.start_token < self.vocab_size
        check.require("start_token", fits, f"must be below model.vocab_size = {self.vocab_size}")
        even = self.relative_buckets >= 4 and self.relative_buckets % 2 == 0
        check.require("relative_buckets", even, "must be even and at least 4")
        enough = self.relative_max_distance > self.relative_buckets // 2
        check.require("relative_max_distance", enough, "must be greater than half of relative_buckets")
        small = self.positions in ("tensor2tensor", "fairseq") and self.d_model < 4
        check.require("d_model", not small, f"must be 4 or greater with positions = {self.positions!r}")
        check_token_model(self, check)

    @property
    def longest_sequence(self) -> int | None:
        """The size of the learned position tables; other positions have no limit."""
        return self.max_length if self.positions == "learned" else None
