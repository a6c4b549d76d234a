"""Corpora of sentence pairs."""

from dataclasses import dataclass
from typing import Literal

from tfmr.config.checks import Checks
from tfmr.config.data import DataConfig, check_tokenized_data, check_weights
from tfmr.config.transformer import TransformerConfig

BleuTokenizer = Literal["auto", "13a", "none", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores200"]
"""How BLEU divides text into words: a tokenizer of sacreBLEU, or auto."""


@dataclass(frozen=True)
class PairsConfig(DataConfig):
    """Which corpus of sentence pairs to train on, and how to turn it into tokens and batches."""

    task = "tfmr.translation.task:Translation"
    prepare = "tfmr.data.prepare:prepare_pairs"
    models = (TransformerConfig,)
    metrics = {"loss": "min", "bleu": "max", "chrf": "max"}  # noqa: RUF012 - never changed
    may_change = frozenset({"cache", "dir", "normalization"})
    local_paths = frozenset({"cache", "dir", "source_file", "target_file", "tokenizer_file"})

    corpus: str = "grammar"
    """The corpus: grammar (built in), multi30k, text (your own files), or the name of a translation dataset of
    tensorflow-datasets, such as wmt14_translate/de-en."""
    source_language: str = "en"
    """Source language, as in the names of files and datasets."""
    target_language: str = "de"
    """Target language."""
    dir: str = ""
    """Folder with the corpus's files (multi30k, text), or with a dataset of tensorflow-datasets: its downloaded
    archives, or its array_record files. Empty: download them if possible."""
    source_file: str | tuple[str, ...] = ""
    """For corpus text: files of source sentences, or TSV files of source and target; patterns such as `part-*.en` are
    allowed. Validation and test pairs are held out from them."""
    target_file: str | tuple[str, ...] = ""
    """For corpus text: the translations of source_file, line by line, one file for each source file. Empty: source_file
    is a TSV file."""
    weights: tuple[float, ...] = ()
    """How often the training pairs of each name in source_file are used in an epoch, to mix corpora: 1 is once; 0.25 is
    a quarter of them, a different one in each epoch until all have been used. One weight for each name; a pattern is
    one name. Empty: once."""
    held_out_share: float = 0.01
    """Share of the training pairs that is held out for validation, and again for testing, if the corpus has no such
    split. Pairs are chosen by their content, and at most 1000 are used for each split. Small corpora need a larger
    share."""
    variant: Literal["raw", "tok"] = "raw"
    """For corpus multi30k: the captions as written (raw), or lowercased, normalised and Moses-tokenised (tok)."""
    grammar_size: int = 60_000
    """For corpus grammar: number of training pairs."""
    cache: str = ""
    """Folder for prepared corpora. Empty: $TFMR_CACHE, or else ~/.cache/tfmr."""
    tokenizer: Literal["bpe", "wordpiece", "characters"] = "bpe"
    """Type of tokenizer to train on the corpus, shared by both languages (section 5.1)."""
    tokenizer_file: str = ""
    """A tokenizer.json to use instead of training a tokenizer."""
    normalization: Literal["nfc", "nfkc", "none"] = "nfc"
    """Unicode normal form that a trained tokenizer converts text to, so that é is the same text whether it is encoded
    as one character or two. nfkc also replaces ligatures and full-width letters. none: leave text unchanged."""
    vocab_size: int = 37_000
    """Maximum vocabulary size of a trained tokenizer."""
    bleu_tokenizer: BleuTokenizer = "auto"
    """sacreBLEU's tokenizer for validation and `tfmr evaluate`. auto: the one that sacreBLEU recommends for the target
    language (zh, ja-mecab, ko-mecab, otherwise 13a); char for other languages without spaces between words, or if MeCab
    is not installed; none for text that is already tokenised."""
    max_length: int = 256
    """Maximum number of tokens per training sentence, including EOS. Longer pairs are left out and counted."""
    right_to_left: bool = False
    """Train on targets whose tokens are in reverse order. Such a model is for `tfmr translate --rescore`; what it
    translates is text in the usual order as well."""
    batching: Literal["bucketed", "packed"] = "bucketed"
    """bucketed: one pair per row, batched with pairs of similar length. packed: several pairs per row that do not
    attend to each other, in batches of a single shape with almost no padding. Rows are only as long as they need to be
    to fit the longest pair and to be 97% full."""
    tokens_per_batch: int = 4096
    """Tokens per batch, counting the longer of source and target and including padding (rows times length). The paper
    uses about 25 000."""
    num_buckets: int = 8
    """Number of padded lengths, and hence of compiled shapes, for bucketed batches; chosen to minimise padding."""
    seed: int = 0
    """Random seed for the order of the batches."""

    def __post_init__(self):
        check = Checks("data", self)
        check.positive("grammar_size", "max_length", "tokens_per_batch", "num_buckets")
        check_tokenized_data(self, check, "sentence")
        check.require("target_file", bool(self.source_file) or not self.target_file, "requires data.source_file")
        check_weights(self, check, "source_file", self.source_names)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names in source_file."""
        if isinstance(self.source_file, tuple):
            return self.source_file
        return (self.source_file,) if self.source_file else ()

    @property
    def typical_lengths(self) -> tuple[int, int]:
        """Tokens of an average sentence of WMT."""
        return 32, 32

    @property
    def is_tokenised(self) -> bool:
        """Whether the text is tokenised already, so that BLEU must not tokenise it again."""
        return self.corpus == "multi30k" and self.variant == "tok"
