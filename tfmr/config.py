"""The whole configuration: frozen dataclasses, checked when they are made.

A recipe in `configs/` returns a `Config`; the command line overrides single
fields (`--training.steps 4000`). Nothing here imports more than the standard
library, so every part of the project may import it.
"""

import dataclasses
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfmr.errors import InputError, nearest


def _require(condition: bool, name: str, value: object, fix: str) -> None:
    if not condition:
        raise InputError(f"{name} = {value!r}: {fix}")


def _require_positive(section: str, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, f"{section}.{name}", value, "must be greater than 0")


def _require_share(section: str, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(0.0 <= value < 1.0, f"{section}.{name}", value, "must be in [0, 1)")


def _require_model(config: "ModelConfig") -> None:
    """Checks what both kinds of model have."""
    _require_share("model", config, "dropout_rate", "attention_dropout_rate")
    _require(config.vocab_size >= 0, "model.vocab_size", config.vocab_size, "must be 0 (the tokenizer's) or more")
    _require(
        config.positions != "sinusoidal" or config.d_model % 2 == 0,
        "model.d_model",
        config.d_model,
        "sinusoidal positions need an even d_model",
    )


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of an encoder-decoder Transformer (section 3 of the paper).

    The defaults are the paper's base model.
    """

    vocab_size: int = 0
    """Number of tokens, shared by source and target. 0: the tokenizer's."""
    num_encoder_layers: int = 6
    """N of the encoder."""
    num_decoder_layers: int = 6
    """N of the decoder."""
    d_model: int = 512
    """Width of every sub-layer's input and output."""
    d_ff: int = 2048
    """Inner width of the position-wise feed-forward networks."""
    num_heads: int = 8
    """Number of attention heads, h."""
    d_k: int = 64
    """Width of a head's queries and keys; free of d_model / num_heads."""
    d_v: int = 64
    """Width of a head's values; free of d_model / num_heads."""
    dropout_rate: float = 0.1
    """Dropout on embeddings plus positions and on every sub-layer's output."""
    attention_dropout_rate: float = 0.0
    """Dropout on attention probabilities (the paper's code has none)."""
    norm: Literal["post", "pre"] = "post"
    """LayerNorm after the residual sum, as in the paper, or before the sub-layer."""
    norm_epsilon: float = 1e-6
    """Added to the variance in LayerNorm (tensor2tensor 1e-6, torch 1e-5)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How positions are encoded (section 3.5; Table 3, row E)."""
    max_length: int = 1024
    """Rows of the learned position table: no sequence may be longer. Unused by sinusoids."""
    tie_embeddings: Literal["all", "decoder", "none"] = "all"
    """Which matrices are one: source, target and output (all, section 3.4), target and output, or none."""
    attention_bias: bool = False
    """Biases on the queries, keys, values and outputs of attention: not in the paper's formulas, but in Marian."""
    activation: Literal["relu", "gelu", "swish"] = "relu"
    """Of the feed-forward networks; gelu in its tanh form."""
    output_bias: bool = False
    """A bias on the logits, as Marian has it."""
    scan_layers: bool = False
    """Compile one layer and scan over stacked parameters: for deep models; the loop is faster to run."""
    remat: bool = False
    """Recompute each layer in the backward pass instead of keeping its activations."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the computation; parameters, softmax and norms stay float32."""

    def __post_init__(self):
        positive = ("d_model", "d_ff", "num_heads", "d_k", "d_v", "max_length", "norm_epsilon")
        _require_positive("model", self, "num_encoder_layers", "num_decoder_layers", *positive)
        _require_model(self)


@dataclass(frozen=True)
class CausalLMConfig:
    """The shape of a language model: a decoder alone, which predicts each token from those before it.

    The defaults are GPT-2's smallest.
    """

    vocab_size: int = 0
    """Number of tokens. 0: the tokenizer's."""
    num_layers: int = 12
    """N."""
    d_model: int = 768
    """Width of every sub-layer's input and output."""
    d_ff: int = 3072
    """Inner width of the position-wise feed-forward networks."""
    num_heads: int = 12
    """Number of attention heads, h."""
    d_k: int = 64
    """Width of a head's queries and keys; free of d_model / num_heads."""
    d_v: int = 64
    """Width of a head's values; free of d_model / num_heads."""
    max_length: int = 1024
    """The context window: most tokens that are looked at to predict the next one."""
    dropout_rate: float = 0.1
    """Dropout on embeddings plus positions and on every sub-layer's output."""
    attention_dropout_rate: float = 0.1
    """Dropout on attention probabilities."""
    norm: Literal["post", "pre"] = "pre"
    """LayerNorm after the residual sum, or before the sub-layer and once more after the last layer."""
    norm_epsilon: float = 1e-5
    """Added to the variance in LayerNorm."""
    positions: Literal["sinusoidal", "learned"] = "learned"
    """How positions are encoded."""
    bias: bool = True
    """Biases, of projections, feed-forward networks and norms."""
    activation: Literal["relu", "gelu", "swish"] = "gelu"
    """Of the feed-forward networks; gelu in its tanh form."""
    gated: bool = False
    """Feed-forward networks with a gate, activation(x W_gate) * (x W_up): a third matrix."""
    tie_embeddings: bool = True
    """The logits are made by the embedding matrix, or by one of their own."""
    scale_embeddings: bool = False
    """Embeddings times sqrt(d_model), as in the paper: they then match sinusoidal positions in size."""
    init_std: float = 0.02
    """Standard deviation of the initial weights; of the projections that write to the residual stream, attention's
    output and what goes down, it is divided by sqrt(2 num_layers)."""
    scan_layers: bool = False
    """Compile one layer and scan over stacked parameters: for deep models; the loop is faster to run."""
    remat: bool = False
    """Recompute each layer in the backward pass instead of keeping its activations."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the computation; parameters, softmax and norms stay float32."""

    def __post_init__(self):
        positive = ("num_layers", "d_model", "d_ff", "num_heads", "d_k", "d_v", "max_length", "norm_epsilon")
        _require_positive("model", self, *positive, "init_std")
        _require_model(self)


ModelConfig = TransformerConfig | CausalLMConfig


def _require_corpus(config: "CorpusConfig", unit: str) -> None:
    """Checks what both kinds of corpus have; `unit` is what max_length limits."""
    _require(
        config.vocab_size >= 260 or config.tokenizer != "bpe",
        "data.vocab_size",
        config.vocab_size,
        "a byte-level BPE needs at least 260",
    )
    _require(config.vocab_size > 4, "data.vocab_size", config.vocab_size, "must hold more than the 4 special tokens")
    _require(config.seed >= 0, "data.seed", config.seed, "must be 0 or more")
    _require(
        config.tokens_per_batch >= config.max_length,
        "data.tokens_per_batch",
        config.tokens_per_batch,
        f"must hold one {unit} of data.max_length = {config.max_length}",
    )


@dataclass(frozen=True)
class DataConfig:
    """Which corpus of translation pairs, cut into which tokens and batches."""

    corpus: str = "grammar"
    """grammar (built in), multi30k, text (your own files), or a translation dataset of
    tensorflow-datasets by name, such as wmt14_translate/de-en."""
    source_language: str = "en"
    """Language to translate from, as files and datasets name it."""
    target_language: str = "de"
    """Language to translate into."""
    dir: str = ""
    """Folder that holds the corpus's files (multi30k, text, downloaded wmt archives). Empty: download, if possible."""
    source_file: str = ""
    """corpus text: one file of source sentences, or a TSV of source and target; validation and test are held out."""
    target_file: str = ""
    """corpus text: the translations of source_file, line by line. Empty: source_file is a TSV."""
    variant: Literal["raw", "tok"] = "raw"
    """corpus multi30k: the captions as written, or lowercased, normalised and Moses-tokenised."""
    grammar_size: int = 60_000
    """corpus grammar: number of training pairs."""
    cache: str = ""
    """Folder for prepared corpora. Empty: $TFMR_CACHE, or else ~/.cache/tfmr."""
    tokenizer: Literal["bpe", "wordpiece", "characters"] = "bpe"
    """Kind of tokenizer to train on the corpus, shared by both languages (section 5.1)."""
    tokenizer_file: str = ""
    """A tokenizer.json to use instead of training one."""
    vocab_size: int = 37_000
    """Largest vocabulary of a trained tokenizer."""
    max_length: int = 256
    """Longest sentence in tokens, end mark included, that is trained on; longer pairs are left out and counted."""
    batching: Literal["bucketed", "packed"] = "bucketed"
    """bucketed: a pair to a row, pairs of like length together. packed: several pairs to a row, none of which sees
    another; one shape, so one compiled program, and nearly no padding. Its rows are as short as the longest pair and
    97% fullness allow."""
    tokens_per_batch: int = 4096
    """Padded tokens of a batch on its longer side (rows times length); the paper's is about 25 000."""
    num_buckets: int = 8
    """Number of padded lengths of bucketed batches, so of compiled shapes; chosen to pad least."""
    seed: int = 0
    """Decides the order of the batches."""

    def __post_init__(self):
        _require_positive("data", self, "grammar_size", "max_length", "tokens_per_batch", "num_buckets")
        _require_corpus(self, "sentence")
        _require(
            bool(self.source_file) or not self.target_file,
            "data.target_file",
            self.target_file,
            "give data.source_file as well",
        )


@dataclass(frozen=True)
class RunningTextConfig:
    """Which text a language model is trained on, cut into which tokens and batches."""

    files: tuple[str, ...] = ()
    """Text files, plain or .gz, in UTF-8."""
    validation_files: tuple[str, ...] = ()
    """Text files to validate on. Empty: the end of `files` is held out."""
    validation_share: float = 0.1
    """Without validation_files: this share of all characters, the last ones, is validated on and not trained on."""
    document_separator: str = ""
    """What stands between two documents of a file, such as `<|endoftext|>`; a line feed makes each line a document.
    Empty: each file is one document."""
    cache: str = ""
    """Folder for prepared corpora. Empty: $TFMR_CACHE, or else ~/.cache/tfmr."""
    tokenizer: Literal["bpe", "characters"] = "bpe"
    """Kind of tokenizer to train on the training text."""
    tokenizer_file: str = ""
    """A tokenizer.json to use instead of training one."""
    vocab_size: int = 32_000
    """Largest vocabulary of a trained tokenizer."""
    batching: Literal["crops", "blocks", "packed"] = "blocks"
    """What a row holds. crops: a part of the text from a random place; an epoch is as many tokens as the text has.
    blocks: consecutive parts from a random beginning, each once an epoch in random order. packed: whole documents,
    several to a row, none of which sees another; those longer than a row are cut."""
    max_length: int = 256
    """Tokens in a row."""
    tokens_per_batch: int = 4096
    """Tokens of a batch (rows times max_length)."""
    evaluation_crops: int = 0
    """Random crops of the validation text on which the loss is measured as well, as others publish it; 0: none."""
    seed: int = 0
    """Decides the batches and the evaluation's crops."""

    def __post_init__(self):
        _require_positive("data", self, "max_length", "tokens_per_batch")
        _require(0.0 < self.validation_share < 1.0, "data.validation_share", self.validation_share, "must be in (0, 1)")
        _require_corpus(self, "row")
        _require(self.evaluation_crops >= 0, "data.evaluation_crops", self.evaluation_crops, "must be 0 or more")

    @property
    def has_documents(self) -> bool:
        """Whether the text is told apart into documents, which begin and end with marks; else it is one without any."""
        return bool(self.document_separator) or len(self.files) > 1 or self.batching == "packed"


CorpusConfig = DataConfig | RunningTextConfig


@dataclass(frozen=True)
class TrainingConfig:
    """How the parameters are found (section 5), and what is kept on the way."""

    steps: int = 100_000
    """Optimizer updates."""
    seed: int = 0
    """Decides the initial parameters and all dropout."""
    schedule: Literal["noam", "inverse_sqrt", "cosine", "constant"] = "noam"
    """noam: the paper's, learning_rate * d_model^-0.5 * min(step^-0.5, step * warmup^-1.5). inverse_sqrt: linear
    warmup to the peak learning_rate, then sqrt(warmup / step). cosine: warmup, then a half cosine down to
    final_learning_rate at the last step. constant: warmup, then learning_rate."""
    learning_rate: float = 1.0
    """Peak learning rate; for noam the factor in front of the paper's formula."""
    warmup_steps: int = 4000
    """Steps of linear warmup."""
    final_learning_rate: float = 0.0
    """Where cosine ends."""
    adam_b1: float = 0.9
    """Adam's beta 1."""
    adam_b2: float = 0.98
    """Adam's beta 2."""
    adam_epsilon: float = 1e-9
    """Adam's epsilon."""
    weight_decay: float = 0.0
    """Decoupled weight decay, on matrices only."""
    gradient_clip: float = 0.0
    """Largest global norm of the gradient; 0: not clipped."""
    accumulation: int = 1
    """Batches whose gradients make one update."""
    label_smoothing: float = 0.1
    """Probability mass that is spread evenly over the vocabulary (section 5.4)."""
    loss_chunk: int = 512
    """Target tokens per device whose logits exist at once."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the parameters; 0: none is kept."""
    log_every: int = 20
    """Steps between lines of metrics.jsonl and the terminal."""
    evaluate_every: int = 1000
    """Steps between evaluations on the validation split; 0: only at the end."""
    bleu_sentences: int = 500
    """Validation sentences translated greedily for BLEU at each evaluation; 0: none, -1: all."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; 0: only at the end or when stopped."""
    keep_last: int = 5
    """Newest checkpoints that are kept."""
    keep_every: int = 0
    """Steps between checkpoints that are saved and kept for good, for averages or a history; 0: none."""
    best_metric: Literal["loss", "bleu"] = "loss"
    """The validation metric whose best checkpoint is kept as well."""
    patience: int = 0
    """Evaluations without a better best_metric after which training ends; 0: never."""

    def __post_init__(self):
        _require_positive("training", self, "steps", "learning_rate", "adam_epsilon", "accumulation", "loss_chunk")
        _require_positive("training", self, "log_every", "keep_last")
        _require_share("training", self, "adam_b1", "adam_b2", "label_smoothing", "ema_decay")
        for name in ("warmup_steps", "weight_decay", "gradient_clip", "evaluate_every", "checkpoint_every", "patience"):
            _require(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "must be 0 or more")
        _require(self.keep_every >= 0, "training.keep_every", self.keep_every, "must be 0 (none) or more")
        _require(self.seed >= 0, "training.seed", self.seed, "must be 0 or more")
        _require(self.bleu_sentences >= -1, "training.bleu_sentences", self.bleu_sentences, "must be -1 (all) or more")
        _require(
            self.best_metric != "bleu" or self.bleu_sentences != 0,
            "training.best_metric",
            self.best_metric,
            "needs training.bleu_sentences other than 0",
        )
        _require(
            self.schedule not in ("noam", "inverse_sqrt") or self.warmup_steps > 0,
            "training.warmup_steps",
            self.warmup_steps,
            f"schedule {self.schedule} needs at least 1",
        )
        _require(
            self.schedule != "cosine" or self.warmup_steps < self.steps,
            "training.warmup_steps",
            self.warmup_steps,
            f"schedule cosine needs fewer than training.steps = {self.steps}",
        )


@dataclass(frozen=True)
class MeshConfig:
    """How many devices each mesh axis spans; one may be -1, the rest of the devices."""

    data: int = -1
    """Devices that each take a part of the batch and hold whole parameters."""
    fsdp: int = 1
    """Devices that each take a part of the batch and of every parameter."""
    tensor: int = 1
    """Devices among which heads, inner widths and the vocabulary are split."""

    def __post_init__(self):
        sizes = dataclasses.astuple(self)
        for name, size in dataclasses.asdict(self).items():
            _require(size >= 1 or size == -1, f"mesh.{name}", size, "must be 1 or more, or -1 for the rest")
        _require(sizes.count(-1) <= 1, "mesh", sizes, "only one axis may be -1")

    def shape(self, num_devices: int) -> tuple[int, int, int]:
        """Returns the sizes of (data, fsdp, tensor) on so many devices; raises InputError where they do not fit."""
        sizes = dataclasses.astuple(self)
        known = math.prod(size for size in sizes if size != -1)
        fits = num_devices % known == 0 if -1 in sizes else num_devices == known
        _require(fits, "mesh", sizes, f"does not fit {num_devices} devices")
        data, fsdp, tensor = (num_devices // known if size == -1 else size for size in sizes)
        return data, fsdp, tensor


@dataclass(frozen=True)
class SamplingConfig:
    """How tokens are drawn at random. Of the tokens that the model gives, each rule leaves fewer to draw from."""

    temperature: float = 0.0
    """Logits are divided by this: higher gives rarer tokens more chance; 0: search for the best instead."""
    top_k: int = 0
    """Only the k most probable tokens; 0: all."""
    top_p: float = 1.0
    """Only the most probable tokens that together have this probability (Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Only tokens with at least this share of the most probable one's probability (Nguyen et al. 2024)."""
    seed: int = 0
    """The same seed draws the same outputs, whatever the batch."""

    def __post_init__(self):
        for name in ("temperature", "top_k", "seed"):
            _require(getattr(self, name) >= 0, f"sampling.{name}", getattr(self, name), "must be 0 or more")
        _require(0.0 < self.top_p <= 1.0, "sampling.top_p", self.top_p, "must be in (0, 1]")
        _require(0.0 <= self.min_p <= 1.0, "sampling.min_p", self.min_p, "must be in [0, 1]")
        rules = [name for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0)) if getattr(self, name) != off]
        _require(
            self.temperature > 0 or not rules,
            "sampling.temperature",
            self.temperature,
            f"{' and '.join(rules)} do nothing without a temperature: give one greater than 0",
        )


@dataclass(frozen=True)
class GenerationConfig(SamplingConfig):
    """How a language model goes on with a text: how its tokens are drawn, and when it ends."""

    temperature: float = 1.0
    """Logits are divided by this: higher gives rarer tokens more chance; 0: always the most probable token."""
    max_new_tokens: int = 256
    """Most tokens that are written."""
    stop: tuple[str, ...] = ()
    """Texts that end the output where the first of them begins; they are not part of it."""
    window: bool = False
    """Where prompt and output are longer than the model's context, go on with the last half of the context whenever
    it is full; without this they are refused."""
    batch_size: int = 64
    """Texts that are written together; does not change what is written."""

    def __post_init__(self):
        super().__post_init__()
        _require_positive("generation", self, "max_new_tokens", "batch_size")
        _require(all(self.stop), "generation.stop", self.stop, "holds an empty text")


@dataclass(frozen=True)
class DecodingConfig:
    """How translations are searched for (section 6.1)."""

    beam_size: int = 4
    """Hypotheses that are kept; 1 is greedy."""
    length_penalty: Literal["gnmt", "power"] = "gnmt"
    """What a hypothesis's log-probability is divided by: gnmt ((5 + length) / 6)^alpha, power length^alpha."""
    alpha: float = 0.6
    """Exponent of the length penalty; 0: none."""
    coverage_penalty: float = 0.0
    """Beta of Wu et al. 2016, equation 14: what a source token costs that was hardly attended to; 0: nothing."""
    diversity: float = 0.0
    """What a hypothesis's 2nd, 3rd, ... continuation is set back by in the beam (Li et al. 2016); 0: nothing."""
    extra_length: int = 50
    """The longest output is the source's length plus this, in tokens."""
    max_source_length: int = 1024
    """Tokens of a source that are read, its end mark included; of a longer one a warning says that the rest is left
    out. Learned positions may allow fewer. The memory that is needed grows with its square."""
    min_length: int = 0
    """The shortest output in tokens, end mark included."""
    max_length: int = 0
    """The longest output in tokens, end mark included, whatever the source; 0: as extra_length says."""
    no_repeat_ngram: int = 0
    """No so many tokens in a row are written twice in one output; 0: repeat at will."""
    forbidden: tuple[str, ...] = ()
    """Words (or phrases) that no output holds, as they are written."""
    required: tuple[str, ...] = ()
    """Words (or phrases) that every output holds, as they are written; a beam of 4 or more finds them good places."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Draws outputs instead of searching for the best."""
    batch_size: int = 64
    """Sentences that are decoded together; does not change what they are translated into."""

    def __post_init__(self):
        _require_positive("decoding", self, "beam_size", "extra_length", "batch_size")
        _require(self.max_source_length > 1, "decoding.max_source_length", self.max_source_length, "must be 2 or more")
        for name in ("alpha", "coverage_penalty", "diversity", "min_length", "max_length", "no_repeat_ngram"):
            _require(getattr(self, name) >= 0, f"decoding.{name}", getattr(self, name), "must be 0 or more")
        enough = self.max_length == 0 or self.min_length <= self.max_length
        _require(enough, "decoding.min_length", self.min_length, f"is above max_length = {self.max_length}")
        for name in ("forbidden", "required"):
            words = getattr(self, name)
            _require(all(word.strip() for word in words), f"decoding.{name}", words, "holds an empty word")
        both = sorted(set(self.forbidden) & set(self.required))
        _require(not both, "decoding.required", both, "cannot be forbidden too")
        if self.sampling.temperature > 0:
            searched = ("coverage_penalty", "diversity", "required")
            given = [f"decoding.{name}" for name in searched if getattr(self, name)]
            _require(not given, "decoding.sampling.temperature", self.sampling.temperature, f"goes not with {given}")


@dataclass(frozen=True)
class DistributedConfig:
    """The processes that train together. On a TPU pod, under SLURM, Open MPI or in a Kubernetes job nothing is to be
    given; without any of these, and without an address, there is one process."""

    coordinator_address: str = ""
    """HOST:PORT of process 0, that all reach. Empty: $JAX_COORDINATOR_ADDRESS, or what the cluster says."""
    num_processes: int = 0
    """Number of processes. 0: $JAX_NUM_PROCESSES, or what the cluster says; 1: this one alone, wherever it runs."""
    process_id: int = -1
    """Number of this process, from 0. -1: $JAX_PROCESS_ID, or what the cluster says."""
    connect_timeout: int = 300
    """Seconds in which all processes must have come."""
    lost_after: int = 30
    """Seconds without a sign of life after which a host counts as lost, and the others end."""

    def __post_init__(self):
        _require(self.num_processes >= 0, "distributed.num_processes", self.num_processes, "must be 0 or more")
        _require(self.process_id >= -1, "distributed.process_id", self.process_id, "must be -1 or more")
        _require_positive("distributed", self, "connect_timeout")
        _require(self.lost_after >= 3, "distributed.lost_after", self.lost_after, "must be 3 or more")


@dataclass(frozen=True)
class Config:
    """All that a run is made from."""

    workdir: str = ""
    """The run directory. Empty: runs/ and the name of the config file."""
    model: ModelConfig = field(default_factory=TransformerConfig)
    """The shape of the model, which also says what kind of model it is."""
    data: CorpusConfig = field(default_factory=DataConfig)
    """The corpus, its tokens and its batches."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Optimizer, schedule, evaluation and checkpoints."""
    mesh: MeshConfig = field(default_factory=MeshConfig)
    """The devices."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """Search and output."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    """The processes, where there are several."""

    def __post_init__(self):
        is_lm, is_text = isinstance(self.model, CausalLMConfig), isinstance(self.data, RunningTextConfig)
        _require(
            is_lm == is_text,
            "data",
            type(self.data).__name__,
            f"{type(self.model).__name__} needs {'RunningTextConfig' if is_lm else 'DataConfig'}",
        )
        _require(
            self.data.max_length <= self.model.max_length or (not is_lm and self.model.positions != "learned"),
            "data.max_length",
            self.data.max_length,
            f"{'the' if is_lm else 'learned'} positions reach only to model.max_length = {self.model.max_length}",
        )
        _require(
            not is_lm or self.training.best_metric == "loss",
            "training.best_metric",
            self.training.best_metric,
            "a language model has no translations to score: give loss",
        )


_KINDS: dict[str, dict[str, type]] = {
    "model": {"transformer": TransformerConfig, "causal_lm": CausalLMConfig},
    "data": {"pairs": DataConfig, "running_text": RunningTextConfig},
}
"""What the sections that may be of several kinds are called in JSON; the first is that of files without a kind."""


def default_cache() -> Path:
    """Returns the folder for what is made once and used again: $TFMR_CACHE, or else ~/.cache/tfmr."""
    return Path(os.environ.get("TFMR_CACHE") or "~/.cache/tfmr").expanduser()


def config_to_dict(config: Config) -> dict:
    """Returns the configuration as nested dictionaries of plain values, for JSON."""
    return dataclasses.asdict(config) | {section: _with_kind(section, getattr(config, section)) for section in _KINDS}


def model_to_dict(config: ModelConfig) -> dict[str, Any]:
    """Returns the shape of a model, and which kind it is, as plain values for JSON."""
    return _with_kind("model", config)


def model_from_dict(values: dict[str, Any]) -> ModelConfig:
    """Returns the shape of a model from what `model_to_dict` gave; raises InputError as `config_from_dict`."""
    return _from_plain(None, values, "model.")


def _with_kind(section: str, config: Any) -> dict[str, Any]:
    kind = next(name for name, cls in _KINDS[section].items() if cls is type(config))
    return {"kind": kind, **dataclasses.asdict(config)}


def config_from_dict(values: dict) -> Config:
    """Builds a configuration from nested dictionaries, as `config_to_dict` gives them.

    Raises:
      InputError: for an unknown key (with the nearest known one) or a value that a section refuses.
    """
    return _from_dict(Config, values, "")


def _from_dict(cls: type, values: dict, path: str) -> Any:
    types: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(cls)}
    for key in values:
        if key not in types:
            raise InputError(f"unknown config key {path + key!r}{nearest(key, types)}")
    return cls(**{key: _from_plain(types[key], value, f"{path}{key}.") for key, value in values.items()})


def _from_plain(kind: Any, value: Any, path: str) -> Any:
    if isinstance(value, dict):
        if path.removesuffix(".") in _KINDS:
            kind, value = _kind_of(path.removesuffix("."), value)
        return _from_dict(kind, value, path)
    return tuple(value) if isinstance(value, list) else value


def _kind_of(section: str, values: dict) -> tuple[type, dict]:
    """Returns the class of a section that may be of several kinds, and the values without the kind's name."""
    kinds = _KINDS[section]
    kind = values.get("kind", next(iter(kinds)))
    _require(kind in kinds, f"{section}.kind", kind, f"must be one of {', '.join(kinds)}{nearest(str(kind), kinds)}")
    return kinds[kind], {name: value for name, value in values.items() if name != "kind"}
