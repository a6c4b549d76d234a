"""Text to token ids and back: byte-level BPE, WordPiece, characters (section 5.1).

All three are pipelines of the `tokenizers` library whose whole behaviour stands
in one `tokenizer.json`. A space is put before every line and taken away again
when it is decoded, so that a word is the same token at the start of a line as
inside it; not so for running text, whose parts may be put together as they are.
No special token is ever read out of text: `<s>` in a line is three
characters. The byte-level BPE of another program, GPT-2's, keeps its own ids
and its own ways, which `Marks` tell.
"""

import functools
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Integer

from tfmr.errors import InputError

Kind = Literal["bpe", "wordpiece", "characters"]
TokenIds = Sequence[int] | Integer[np.ndarray, "length"]

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
END_OF_TEXT = "<|endoftext|>"
"""What stands between two documents in GPT-2's vocabulary."""

_KINDS: dict[str, Kind] = {"BPE": "bpe", "WordPiece": "wordpiece", "WordLevel": "characters"}
_WORD_START = "▁"  # stands for a space inside WordPiece tokens, as in the paper's word pieces
_CONTINUATION = "##"
# A word (cut at 99 characters: the library takes one of more than 100 for unknown)
# or one other character, with the space before it; or a space alone.
_WORDPIECE_SPLIT = (
    rf"{_WORD_START}?[\p{{L}}\p{{M}}\p{{N}}]{{1,99}}|{_WORD_START}?[^{_WORD_START}\p{{L}}\p{{M}}\p{{N}}]|{_WORD_START}"
)


class Marks(NamedTuple):
    """The ids of the tokens that are no text: ours, or those of a byte-level BPE from elsewhere."""

    pad: int | None = PAD_ID
    """None: there is none."""
    unk: int | None = UNK_ID
    """None: there is none, nothing is unknown."""
    bos: int = BOS_ID
    eos: int = EOS_ID
    """May be the same as `bos`: a mark that stands between documents."""
    begins: bool = True
    """Whether a document begins with `bos`. If not, only one without any text does, as there must be something."""

    @property
    def unwritten(self) -> tuple[int, ...]:
        """Those that no model writes: no training target holds them."""
        return tuple(mark for mark in (self.pad, self.bos) if mark is not None and mark != self.eos)


OURS = Marks()


class Tokenizer:
    """A trained tokenizer.

    Attributes:
      kind: "bpe", "wordpiece", "characters", or "sentencepiece" of an imported model.
      vocab_size: number of token ids, the special ones included.
      marks: the ids of the special ones.
    """

    kind: str
    vocab_size: int
    marks: Marks = OURS

    def __init__(self, backend: Any, kind: Kind, marks: Marks = OURS):
        """Wraps a `tokenizers.Tokenizer`; use `train`, `from_file` or `from_json`."""
        # Text that holds "<s>" is text; but "<|endoftext|>" is what other programs read.
        backend.encode_special_tokens = marks == OURS
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self.kind = kind
        self.marks = marks
        self.vocab_size = max(backend.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def bos_id(self) -> int:
        """Begins what a decoder reads."""
        return self.marks.bos

    @property
    def eos_id(self) -> int:
        """Ends a sentence."""
        return self.marks.eos

    @classmethod
    def train(cls, kind: str, texts: Iterable[str], vocab_size: int, *, running_text: bool = False) -> "Tokenizer":
        """Learns a vocabulary of at most `vocab_size` tokens from lines of text.

        Args:
          kind: "bpe", "wordpiece" or "characters".
          texts: lines, or parts of a running text.
          vocab_size: most tokens.
          running_text: put no space before what is encoded: it may be any part of a text. Not for wordpiece.

        Raises:
          InputError: for an unknown kind.
        """
        if kind == "bpe":
            return cls(_train_bpe(texts, vocab_size, running_text), kind)
        if kind == "wordpiece":
            return cls(_train_wordpiece(texts, vocab_size), kind)
        if kind == "characters":
            return cls(_train_characters(texts, vocab_size), kind)
        raise InputError(f"tokenizer {kind!r}: must be one of {', '.join(_KINDS.values())}")

    @classmethod
    def from_json(cls, text: str, name: str = "tokenizer.json") -> "Tokenizer":
        """Restores a tokenizer from the text of a tokenizer.json; `name` is what errors call it.

        A BPE may have other special tokens than ours: those that the file's `marks` name, or GPT-2's.

        Raises:
          InputError: if it is no tokenizer, of an unknown kind, or has other special tokens.
        """
        import tokenizers

        try:
            content = json.loads(text)
            model = content["model"]["type"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{name}: is not a tokenizer.json of the tokenizers library") from None
        if model == "SentencePiece":
            from tfmr.data.sentence_pieces import SentencePieceTokenizer

            return SentencePieceTokenizer.from_content(content, name)
        if model not in _KINDS:
            raise InputError(f"{name}: holds a {model} model: needed is one of {', '.join(_KINDS)}")
        given = content.pop("marks", None)
        for token in content.get("added_tokens") or []:
            if token.get("content") in SPECIAL_TOKENS:
                token["special"] = True  # only special tokens can be kept from matching in text
        try:
            backend = tokenizers.Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises nothing narrower
            raise InputError(f"{name}: the tokenizers library cannot read it: {error}") from None
        return cls(backend, _KINDS[model], _marks_of(backend, model, given, name))

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Tokenizer":
        """Restores a tokenizer from a tokenizer.json; raises InputError as `from_json` does, or if there is none."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot read this tokenizer.json ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: is not a tokenizer.json: not UTF-8 text") from None
        return cls.from_json(text, str(path))

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json that restores this tokenizer."""
        if self.marks == OURS:
            return self._backend.to_str(pretty=True)
        content = json.loads(self._backend.to_str())
        return json.dumps({"marks": self.marks._asdict(), **content}, ensure_ascii=False, indent=2)

    def save(self, path: str | os.PathLike) -> None:
        """Writes tokenizer.json, whole or not at all."""
        path = Path(path)
        temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        temporary.write_text(self.to_json(), encoding="utf-8")
        os.replace(temporary, path)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of one line, without any special tokens around them."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line; the same as `encode`, on all cores."""
        return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the target language, which an imported model may cut otherwise."""
        return self.encode_batch(texts)

    def decode(self, ids: TokenIds) -> str:
        """Returns the text of token ids; padding, start and end marks are left out."""
        return self._backend.decode(self._without_marks(ids), skip_special_tokens=False)

    def decode_batch(self, ids: Iterable[TokenIds]) -> list[str]:
        """Returns the text of each sequence of token ids."""
        return self._backend.decode_batch([self._without_marks(row) for row in ids], skip_special_tokens=False)

    def _without_marks(self, ids: TokenIds) -> list[int]:
        values = ids.tolist() if isinstance(ids, np.ndarray) else map(int, ids)
        marks = (self.marks.pad, self.marks.bos, self.marks.eos)
        return [token for token in values if token not in marks]

    def pieces(self) -> list[bytes]:
        """Returns what each token adds to a text, in bytes: a token of BPE may be part of a character.

        The space before a word is part of its first token. The start, end and padding marks add nothing.
        """
        tokens = [self._backend.id_to_token(token) or "" for token in range(self.vocab_size)]
        if self.kind == "bpe":
            byte_of = _byte_of_character()
            pieces = [bytes(byte_of[character] for character in token if character in byte_of) for token in tokens]
            for number, token in self._backend.get_added_tokens_decoder().items():
                pieces[number] = token.content.encode()  # as it is, not byte by byte
        else:
            pieces = [token.removeprefix(_CONTINUATION).replace(_WORD_START, " ").encode() for token in tokens]
        for mark in (self.marks.pad, self.marks.bos, self.marks.eos):
            if mark is not None:
                pieces[mark] = b""
        if self.marks.unk is not None:
            pieces[self.marks.unk] = SPECIAL_TOKENS[UNK_ID].encode()
        return pieces

    def token_texts(self, ids: TokenIds) -> list[str]:
        """Returns the text of each token by itself, with the space before a word; of a mark its name.

        A part of a character is U+FFFD.
        """
        return [self._texts[int(token)] for token in ids]

    @functools.cached_property
    def _texts(self) -> list[str]:
        texts = [piece.decode(errors="replace") for piece in self.pieces()]
        if self.marks == OURS:
            return [*SPECIAL_TOKENS, *texts[len(SPECIAL_TOKENS) :]]
        for mark in (self.marks.bos, self.marks.eos):
            texts[mark] = self._backend.id_to_token(mark)
        return texts

    def unkept(self, text: str) -> list[str]:
        """Returns the parts of a line that encoding and decoding would lose; empty if it comes back as it was.

        A byte-level BPE keeps everything. WordPiece and characters lose characters that were not in the text
        they were trained on: WordPiece the whole word around one, and ``▁``, which is its space.
        """
        encoding = self._backend.encode(text, add_special_tokens=False)
        pieces = zip(encoding.ids, encoding.offsets, strict=True)
        unknown = [text[start:end] for token, (start, end) in pieces if token == self.marks.unk]
        if unknown:
            return [piece.strip(" ") or piece for piece in unknown]
        decoded = self.decode(encoding.ids)
        if decoded == text:
            return []
        start = _length_in_common(text, decoded)
        end = _length_in_common(text[start:][::-1], decoded[start:][::-1])
        return [text[start : len(text) - end] or text]


def _marks_of(backend: Any, model: str, given: Any, name: str) -> Marks:
    """Returns the marks that a tokenizer.json says that it has, or those that it must have; raises InputError."""
    if given is not None:
        return _given_marks(given, backend.get_vocab(with_added_tokens=True).values(), name)
    found = [backend.token_to_id(token) for token in SPECIAL_TOKENS]
    if found == [PAD_ID, UNK_ID, BOS_ID, EOS_ID]:
        return OURS
    end = backend.token_to_id(END_OF_TEXT)
    if model == "BPE" and end is not None:
        return Marks(None, None, end, end, begins=False)
    raise InputError(f"{name}: the tokens {' '.join(SPECIAL_TOKENS)} must have the ids 0 1 2 3, not {found}")


def _given_marks(given: Any, ids: Collection[int], name: str) -> Marks:
    try:
        marks = Marks(**given)
    except TypeError:
        raise InputError(f"{name}: marks = {given!r}: must name {', '.join(Marks._fields)}") from None
    known = set(ids)
    wrong = [
        field
        for field, value in marks._asdict().items()
        if field != "begins" and not (value in known or (value is None and field in ("pad", "unk")))
    ]
    if wrong:
        raise InputError(f"{name}: marks = {given!r}: {', '.join(wrong)}: there is no such token")
    return marks


def _length_in_common(a: str, b: str) -> int:
    different = (place for place, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])
    return next(different, min(len(a), len(b)))


def _byte_of_character() -> dict[str, int]:
    """Returns which byte each character of a byte-level BPE stands for: its own if it can be printed, else the next."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _train_bpe(texts: Iterable[str], vocab_size: int, running_text: bool) -> Any:
    """Byte pair encoding over bytes: the 256 bytes are always in the vocabulary, so no text is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    if running_text:
        backend.decoder = decoders.ByteLevel()
    else:
        backend.normalizer = normalizers.Prepend(" ")
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


def _train_wordpiece(texts: Iterable[str], vocab_size: int) -> Any:
    """WordPiece: a word is cut into the longest known pieces, "##" before those inside a word.

    Spaces are kept as the first character of the piece after them, so that decoding gives the spacing back.
    The pieces are learnt by the byte-pair trainer, in which WordPiece's own would order equal counts at random.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    texts = list(texts)
    characters = _frequent_characters(texts, max(1, (vocab_size - len(SPECIAL_TOKENS)) // 2 - 1), without=" ")
    continuations = [_CONTINUATION + character for character in characters]
    pipeline = {
        "normalizer": normalizers.Sequence([normalizers.Prepend(" "), normalizers.Replace(" ", _WORD_START)]),
        "pre_tokenizer": pre_tokenizers.Split(Regex(_WORDPIECE_SPLIT), "isolated"),
        "decoder": decoders.Sequence(
            [
                decoders.Replace(Regex(f"^{_CONTINUATION}"), ""),
                decoders.Fuse(),
                decoders.Replace(_WORD_START, " "),
                decoders.Strip(" ", 1, 0),
            ]
        ),
    }
    learner = _with_pipeline(Tokenizer(models.BPE(continuing_subword_prefix=_CONTINUATION)), pipeline)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        # Named here, every character has a fixed id at the start and inside of words before pieces are merged.
        special_tokens=[*SPECIAL_TOKENS, *continuations],
        initial_alphabet=[_WORD_START, *characters],
        limit_alphabet=1 + len(characters),
        continuing_subword_prefix=_CONTINUATION,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    vocab = learner.get_vocab()
    model = models.WordPiece(vocab, unk_token=SPECIAL_TOKENS[UNK_ID], continuing_subword_prefix=_CONTINUATION)
    backend = _with_pipeline(Tokenizer(model), pipeline)
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return backend


def _train_characters(texts: Iterable[str], vocab_size: int) -> Any:
    """Every character is a token: the most frequent ones, equal counts in code-point order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    characters = _frequent_characters(texts, vocab_size - len(SPECIAL_TOKENS))
    vocab = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *characters])}
    backend = Tokenizer(models.WordLevel(vocab, unk_token=SPECIAL_TOKENS[UNK_ID]))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    return backend


def _with_pipeline(backend: Any, pipeline: dict[str, Any]) -> Any:
    for name, part in pipeline.items():
        setattr(backend, name, part)
    return backend


def _frequent_characters(texts: Iterable[str], limit: int, without: str = "") -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    for character in without:
        del counts[character]
    return sorted(counts, key=lambda character: (-counts[character], character))[:limit]
