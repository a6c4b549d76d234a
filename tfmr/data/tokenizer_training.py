"""Trains the byte-level BPE, WordPiece and character tokenizers, as pipelines of the `tokenizers` library."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tfmr.data.special_tokens import SPECIAL_TOKENS, UNK_ID

WORD_START = "▁"
"""Represents a space in WordPiece tokens, as in the word pieces of the paper."""
CONTINUATION = "##"
"""The beginning of a WordPiece token that continues a word."""

# A word or a single other character, each with the space before it, or a space alone. Words are cut after 99
# characters, because the library takes those of more than 100 as unknown.
_WORDPIECE_SPLIT = (
    rf"{WORD_START}?[\p{{L}}\p{{M}}\p{{N}}]{{1,99}}|{WORD_START}?[^{WORD_START}\p{{L}}\p{{M}}\p{{N}}]|{WORD_START}"
)


def train_bpe(texts: Iterable[str], vocab_size: int, form: str, running_text: bool) -> Any:
    """Trains byte pair encoding over bytes. All 256 bytes are in the vocabulary, so no text is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    if running_text:
        backend.normalizer = _normalizer(form, running_text)
        backend.decoder = decoders.ByteLevel()
    else:
        backend.normalizer = _normalizer(form, running_text, normalizers.Prepend(" "))
        backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def train_wordpiece(texts: Iterable[str], vocab_size: int, form: str) -> Any:
    """Trains WordPiece: it splits a word into the longest known pieces; "##" precedes those inside a word.

    A space is the first character of the piece after it, so that decoding restores the spacing. The byte-pair trainer
    learns the pieces, because the WordPiece trainer orders pieces of equal count at random.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    texts = list(_normalized(texts, form))
    characters = _frequent_characters(texts, max(1, (vocab_size - len(SPECIAL_TOKENS)) // 2 - 1), without=" ")
    continuations = [CONTINUATION + character for character in characters]

    def with_pipeline(model: Any) -> Any:
        backend = Tokenizer(model)
        backend.normalizer = _normalizer(form, False, normalizers.Prepend(" "), normalizers.Replace(" ", WORD_START))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDPIECE_SPLIT), "isolated")
        joined = [decoders.Replace(Regex(f"^{CONTINUATION}"), ""), decoders.Fuse()]
        backend.decoder = decoders.Sequence([*joined, decoders.Replace(WORD_START, " "), decoders.Strip(" ", 1, 0)])
        return backend

    learner = with_pipeline(models.BPE(continuing_subword_prefix=CONTINUATION))
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        # Listed here, every character has a fixed id, both at the start of words and inside, before pieces are merged.
        special_tokens=[*SPECIAL_TOKENS, *continuations],
        initial_alphabet=[WORD_START, *characters],
        limit_alphabet=1 + len(characters),
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    vocab = learner.get_vocab()
    model = models.WordPiece(vocab, unk_token=SPECIAL_TOKENS[UNK_ID], continuing_subword_prefix=CONTINUATION)
    backend = with_pipeline(model)
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return backend


def train_characters(texts: Iterable[str], vocab_size: int, form: str, running_text: bool) -> Any:
    """Makes each of the most frequent characters a token; those of equal count are in code-point order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    characters = _frequent_characters(_normalized(texts, form), vocab_size - len(SPECIAL_TOKENS))
    vocab = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *characters])}
    backend = Tokenizer(models.WordLevel(vocab, unk_token=SPECIAL_TOKENS[UNK_ID]))
    backend.normalizer = _normalizer(form, running_text)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return backend


def _normalizer(form: str, running_text: bool, *spacing: Any) -> Any:
    """Returns the first stage of a pipeline: a Unicode normal form, then `spacing`. None if it has nothing to do.

    A byte order mark at the start of a line is removed. A running text may be cut before one that is inside it.
    """
    from tokenizers import Regex, normalizers

    forms = {"nfc": [normalizers.NFC()], "nfkc": [normalizers.NFKC()], "none": []}[form]
    if forms and not running_text:
        forms.insert(0, normalizers.Replace(Regex(r"^\x{FEFF}+"), ""))
    stages = [*forms, *spacing]
    return normalizers.Sequence(stages) if len(stages) > 1 else next(iter(stages), None)


def _normalized(texts: Iterable[str], form: str) -> Iterable[str]:
    """Returns texts in the form in which the pipeline of the tokenizer will see them."""
    if form == "none":
        return texts
    return (unicodedata.normalize("NFKC" if form == "nfkc" else "NFC", text) for text in texts)


def _frequent_characters(texts: Iterable[str], limit: int, without: str = "") -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    for character in without:
        del counts[character]
    return sorted(counts, key=lambda character: (-counts[character], character))[:limit]
