"""Running text for language models."""

from dataclasses import dataclass
from typing import Literal

from tfmr.config.causal_lm import CausalLMConfig
from tfmr.config.checks import Checks
from tfmr.config.data import DataConfig, check_tokenized_data, check_weights


@dataclass(frozen=True)
class RunningTextConfig(DataConfig):
    """Which text to train a language model on, and how to turn it into tokens and batches."""

    task = "tfmr.language_model.task:LanguageModeling"
    prepare = "tfmr.data.running_text:prepare_running_text"
    models = (CausalLMConfig,)
    may_change = frozenset({"cache", "evaluation_crops", "normalization"})
    local_paths = frozenset({"cache", "files", "validation_files", "tokenizer_file"})

    files: tuple[str, ...] = ()
    """Text files in UTF-8, plain or compressed; patterns such as `part-*.txt` are allowed."""
    validation_files: tuple[str, ...] = ()
    """Text files to validate on. Empty: hold out a part of `files`."""
    weights: tuple[float, ...] = ()
    """How often the training text of each name in files is used in an epoch, to mix corpora: 1 is once; 0.25 is a
    quarter of it, and the next epoch continues where this one stops. One weight for each name; a pattern is one name.
    Empty: once."""
    held_out_share: float = 0.01
    """Share of the passages, of about 4000 characters each, that is held out if there are no validation_files. Passages
    are chosen by their content, and at most 1000 are used. Small texts need a larger share."""
    validation_share: float = 0.0
    """If not 0, hold out this share of the characters, at the end of the text, instead of passages. The held-out part
    moves when the text grows."""
    document_separator: str = ""
    """The text between two documents of a file, such as `<|endoftext|>`; a line feed makes every line a document.
    Empty: each file is one document."""
    cache: str = ""
    """Folder for prepared corpora. Empty: $TFMR_CACHE, or else ~/.cache/tfmr."""
    tokenizer: Literal["bpe", "characters"] = "bpe"
    """Type of tokenizer to train on the training text."""
    tokenizer_file: str = ""
    """A tokenizer.json to use instead of training a tokenizer."""
    normalization: Literal["nfc", "nfkc", "none"] = "nfc"
    """Unicode normal form that a trained tokenizer converts text to, so that é is the same text whether it is encoded
    as one character or two. nfkc also replaces ligatures and full-width letters. none: leave text unchanged."""
    vocab_size: int = 32_000
    """Maximum vocabulary size of a trained tokenizer."""
    batching: Literal["crops", "blocks", "packed"] = "blocks"
    """crops: each row is a random crop, and an epoch has as many tokens as the text. blocks: the text is cut into
    consecutive rows at a random offset, each used once per epoch in random order. packed: whole documents, several per
    row, that do not attend to each other; documents longer than a row are cut."""
    max_length: int = 256
    """Tokens per row."""
    tokens_per_batch: int = 4096
    """Tokens per batch (rows times max_length)."""
    evaluation_crops: int = 0
    """Number of random crops of the validation text on which the loss is also measured, for comparison with published
    figures. 0 disables it."""
    seed: int = 0
    """Random seed for the batches and the evaluation crops."""

    def __post_init__(self):
        check = Checks("data", self)
        check.positive("max_length", "tokens_per_batch")
        check.share("validation_share")
        check_tokenized_data(self, check, "row")
        check.at_least_zero("evaluation_crops")
        check_weights(self, check, "files", self.files)

    @property
    def has_documents(self) -> bool:
        """Whether the text consists of documents that start with BOS and end with EOS, or is a single text."""
        several_files = len(self.files) > 1 or any({"*", "?"} & set(name) for name in self.files)
        return bool(self.document_separator) or several_files or self.batching == "packed"
