"""Running text for language models."""

from dataclasses import dataclass
from typing import Literal

from tfmr.config.causal_lm import CausalLMConfig
from tfmr.config.checks import Checks
from tfmr.config.data import DataConfig, check_tokenized_data


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
    """Text files to validate on. Empty: a part of `files` is held out."""
    held_out_share: float = 0.01
    """Without validation_files: the share of the passages of the text, of about 4000 characters each, that is held
    out. The content of a passage decides. At most 1000 of them are used. Small texts need more than the default."""
    validation_share: float = 0.0
    """If not 0, the share of all characters that is held out at the end of the text, instead of passages. The end moves
    when the text grows."""
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
    """Unicode normal form into which a trained tokenizer brings every text, so that é is the same text whether it is
    stored as one character or two. nfkc also replaces ligatures and full-width letters. none: leave texts
    as they are."""
    vocab_size: int = 32_000
    """Maximum vocabulary size of a trained tokenizer."""
    batching: Literal["crops", "blocks", "packed"] = "blocks"
    """crops: each row is a random crop, and an epoch is as many tokens as the text has. blocks: the text is cut into
    consecutive rows at a random offset, each of them used once an epoch in random order. packed: whole documents,
    several per row, that do not attend to each other; documents longer than a row are cut."""
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

    @property
    def has_documents(self) -> bool:
        """Whether the text consists of documents that start with BOS and end with EOS, or is a single text."""
        several_files = len(self.files) > 1 or any({"*", "?"} & set(name) for name in self.files)
        return bool(self.document_separator) or several_files or self.batching == "packed"
