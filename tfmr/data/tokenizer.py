"""Tokenizers: text to token ids and back (section 5.1).

`Tokenizer` is a byte-level BPE, WordPiece or characters: a pipeline of the `tokenizers` library that one
`tokenizer.json` describes completely. It first converts text to a Unicode normal form, so that é is the same whether
it is encoded as one character or two, and removes a byte order mark at the start of a line. It adds a space before each
line and removes it when decoding, so that a word is the same token at the start of a line as inside it. A tokenizer for
running text does not add it, because the parts of a text are concatenated unchanged. Special tokens are never read from
text: `<s>` in a line is three characters. A byte-level BPE of another program, such as GPT-2's, keeps its own ids and
conventions, which its `Marks` describe. Those of imported translation models may put `Tags` around a text.

`SentencePieceTokenizer` is the tokenizer of an imported model: two SentencePiece models, one per language, or one for
all, that share a vocabulary. It cannot be trained.
"""

import base64
import copy
import dataclasses
import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer

from tfmr.data.files import write_bytes_atomically
from tfmr.data.special_tokens import BOS_ID, END_OF_TEXT, EOS_ID, OURS, PAD_ID, SPECIAL_TOKENS, UNK_ID, Marks
from tfmr.data.tags import Tags
from tfmr.data.tokenizer_training import CONTINUATION, WORD_START, train_bpe, train_characters, train_wordpiece
from tfmr.errors import InputError

Kind = Literal["bpe", "wordpiece", "characters"]
TokenIds = Sequence[int] | Integer[np.ndarray, "length"]

_KINDS: dict[str, Kind] = {"BPE": "bpe", "WordPiece": "wordpiece", "WordLevel": "characters"}
_IMPORTED_KINDS = {**_KINDS, "Unigram": "sentencepiece"}
"""A Unigram model finds the names of special tokens in text; the control tokens of an imported one say what is none."""
SENTENCE_PIECE = "SentencePiece"
"""The model type in the tokenizer.json of a `SentencePieceTokenizer`."""


class Tokenizer:
    """A trained tokenizer.

    Attributes:
      kind: "bpe", "wordpiece", "characters", or "sentencepiece" of an imported model.
      vocab_size: number of token ids, special tokens included.
      marks: the ids of the special tokens.
      tags: the tokens around a text.
    """

    kind: str
    vocab_size: int
    marks: Marks = OURS
    tags: Tags = Tags()

    def __init__(self, backend: Any, kind: str, marks: Marks = OURS, tags: Tags = Tags()):  # noqa: B008 - never changed
        """Wraps a `tokenizers.Tokenizer`; use `train`, `from_file` or `from_json`."""
        # "<s>" in a text is text. In other programs' vocabularies "<|endoftext|>" is a special token in text as well.
        backend.encode_special_tokens = marks == OURS
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self.kind = kind
        self.marks = marks
        self.tags = tags
        self.vocab_size = max(backend.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def bos_id(self) -> int:
        """The id of the BOS token, the first input of a decoder."""
        return self.marks.bos

    @property
    def eos_id(self) -> int:
        """The id of the EOS token, the end of a sentence."""
        return self.marks.eos

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the text of each token id, which distinguishes this tokenizer from that of another model."""
        return hashlib.blake2b(json.dumps(self._names_by_id()).encode(), digest_size=16).hexdigest()

    def _names_by_id(self) -> list[str | None]:
        return [self._backend.id_to_token(token) for token in range(self.vocab_size)]

    @classmethod
    def train(
        cls,
        kind: str,
        texts: Iterable[str],
        vocab_size: int,
        *,
        running_text: bool = False,
        normalization: Literal["nfc", "nfkc", "none"] = "nfc",
    ) -> "Tokenizer":
        """Trains a tokenizer with a vocabulary of at most `vocab_size` tokens on lines of text.

        Args:
          kind: "bpe", "wordpiece" or "characters".
          texts: lines, or parts of a running text.
          vocab_size: maximum size of the vocabulary.
          running_text: put no space before the text, which may be any part of a longer text. Not for wordpiece.
          normalization: the Unicode normal form that every text is converted to, in training and afterwards.

        Raises:
          InputError: for an unknown kind.
        """
        if kind == "bpe":
            return cls(train_bpe(texts, vocab_size, normalization, running_text), kind)
        if kind == "wordpiece":
            return cls(train_wordpiece(texts, vocab_size, normalization), kind)
        if kind == "characters":
            return cls(train_characters(texts, vocab_size, normalization, running_text), kind)
        raise InputError(f"tokenizer {kind!r}: must be one of {', '.join(_KINDS.values())}")

    @classmethod
    def from_json(cls, text: str, name: str = "tokenizer.json") -> "Tokenizer":
        """Restores a tokenizer from the text of a tokenizer.json; error messages contain `name`.

        A BPE may have other special tokens than ours: those listed in the `marks` of the file, or GPT-2's.

        Raises:
          InputError: if it is not a tokenizer, is of an unknown kind, or has the wrong special tokens.
        """
        import tokenizers

        try:
            content = json.loads(text)
            model = content["model"]["type"]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise InputError(f"{name}: not a tokenizer.json of the tokenizers library") from None
        if model == SENTENCE_PIECE:
            return SentencePieceTokenizer.from_content(content, name)
        given = content.pop("marks", None)
        tags = Tags.from_json(content.pop("tags", {}), name)
        kinds = _IMPORTED_KINDS if tags.control else _KINDS
        if model not in kinds:
            raise InputError(f"{name}: contains a {model} model; it must be one of {', '.join(kinds)}")
        for token in content.get("added_tokens") or []:
            if token.get("content") in SPECIAL_TOKENS:
                token["special"] = True  # only special tokens can be prevented from matching in text
        try:
            backend = tokenizers.Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises no narrower type
            raise InputError(f"{name}: the tokenizers library cannot read it: {error}") from None
        metaspace = (content.get("decoder") or {}).get("type") == "Metaspace"
        kind = "sentencepiece" if metaspace else _IMPORTED_KINDS[model]
        return cls(backend, kind, _marks_of(backend, model, given, name), tags)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Tokenizer":
        """Restores a tokenizer from a tokenizer.json; raises InputError as `from_json` does, or for a missing file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot read this tokenizer.json ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not a tokenizer.json (not UTF-8 text)") from None
        return cls.from_json(text, str(path))

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json that restores this tokenizer."""
        found = [self._backend.token_to_id(token) for token in SPECIAL_TOKENS]
        if found == [PAD_ID, UNK_ID, BOS_ID, EOS_ID] and self.marks == OURS and self.tags == Tags():
            return self._backend.to_str(pretty=True)
        content = json.loads(self._backend.to_str())
        own = {"marks": self.marks._asdict()} | ({} if self.tags == Tags() else {"tags": self.tags.to_json()})
        return json.dumps({**own, **content}, ensure_ascii=False, indent=2)

    def with_languages(self, source: str = "", target: str = "") -> "Tokenizer":
        """Returns the tokenizer for other languages of a model that has many; empty codes change nothing.

        Raises:
          InputError: if the model does not have such a language.
        """
        return self.with_tags(self.tags.with_languages(source, target))

    def with_tags(self, tags: Tags) -> "Tokenizer":
        """Returns the tokenizer with other tokens around a text."""
        other = copy.copy(self)
        other.tags = tags
        return other

    def from_right_to_left(self) -> "Tokenizer":
        """Returns the tokenizer for a model that writes the last token of a target first."""
        return self.with_tags(dataclasses.replace(self.tags, right_to_left=True))

    def source_sequence(self, ids: Sequence[int]) -> list[int]:
        """Returns what a model reads for the ids of a line: with tags, such as its language, and EOS."""
        return self.tags.around_source(ids)

    def target_sequence(self, ids: Sequence[int]) -> list[int]:
        """Returns what a model writes for the ids of a line: with tags, such as its language, and EOS."""
        return [*self.tags.target_ids, *(reversed(ids) if self.tags.right_to_left else ids), self.eos_id]

    def target_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Returns the text of each sequence of tokens that a model has written."""
        step = -1 if self.tags.right_to_left else 1
        return self.decode_batch([sequence[::step] for sequence in sequences])

    def has_tokens_of(self, other: "Tokenizer") -> bool:
        """Returns whether every token id means the same as in another tokenizer, whatever the Unicode normal form."""
        mine, theirs = json.loads(self.to_json()), json.loads(other.to_json())
        return {**mine, "normalizer": None} == {**theirs, "normalizer": None}

    def with_tokens(self, tokens: Sequence[str]) -> "Tokenizer":
        """Returns a tokenizer with more tokens after the others, which are whole tokens wherever text contains them.

        A space after such a token belongs to the word that follows, as at the start of a line. In the tokenizer of a
        model of many languages they are languages, which text never contains.

        Raises:
          InputError: if one of them is a token already, would not be restored when it is decoded, or is not the name of
            a language where it must be.
        """
        import tokenizers

        for token in tokens:
            if self._backend.token_to_id(token) is not None:
                raise InputError(f"new_tokens: {token!r} is already a token of the tokenizer; leave it out")
        backend = tokenizers.Tokenizer.from_str(self._backend.to_str())
        if self.tags.languages and not self.tags.in_text:
            tags = self.tags.with_new_languages(tokens, self.vocab_size)
            backend.add_special_tokens([tokenizers.AddedToken(token, normalized=False) for token in tokens])
            return Tokenizer(backend, self.kind, self.marks, tags)
        adds_space = any(type(stage).__name__ == "Prepend" for stage in _stages(self._backend.normalizer))
        backend.add_tokens([tokenizers.AddedToken(token, normalized=False, rstrip=adds_space) for token in tokens])
        larger = Tokenizer(backend, self.kind, self.marks, self.tags)
        for number, token in enumerate(tokens, start=self.vocab_size):
            if larger.encode(token) != [number] or larger.decode([number]) != token:
                raise InputError(
                    f"new_tokens: {token!r} cannot be a token of a {self.kind} tokenizer; spell it in ASCII"
                )
        return larger

    def save(self, path: str | os.PathLike) -> None:
        """Writes tokenizer.json; no reader ever sees a part of it."""
        write_bytes_atomically(Path(path), self.to_json().encode())

    def encode(self, text: str) -> list[int]:
        """Returns the ids of one line, without BOS and EOS."""
        return self._as_text(self._backend.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, as `encode` does, using all cores."""
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [self._as_text(encoding.ids) for encoding in encodings]

    def _as_text(self, ids: list[int]) -> list[int]:
        """Returns ids without control tokens, whose names are in a text but are text there."""
        if self._control.isdisjoint(ids):
            return ids
        return [UNK_ID if token in self._control else token for token in ids]

    @functools.cached_property
    def _control(self) -> frozenset[int]:
        return frozenset(self.tags.control)

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the target language, which an imported model may tokenize differently."""
        return self.encode_batch(texts)

    def decode(self, ids: TokenIds) -> str:
        """Returns the text of token ids, without padding, BOS and EOS."""
        return self._backend.decode(self._without_marks(ids), skip_special_tokens=False)

    def decode_batch(self, ids: Iterable[TokenIds]) -> list[str]:
        """Returns the text of each sequence of token ids."""
        return self._backend.decode_batch([self._without_marks(row) for row in ids], skip_special_tokens=False)

    def _without_marks(self, ids: TokenIds) -> list[int]:
        values = ids.tolist() if isinstance(ids, np.ndarray) else map(int, ids)
        marks = (self.marks.pad, self.marks.bos, self.marks.eos)
        return [token for token in values if token not in marks and token not in self._control]

    def normalize(self, text: str) -> str:
        """Returns a text in the form that the tokenizer reads and writes, with its spaces unchanged."""
        for stage in _stages(self._backend.normalizer):
            if type(stage).__name__ == "Prepend":  # spaces follow
                break
            text = stage.normalize_str(text)
        return text

    def pieces(self) -> list[bytes]:
        """Returns the bytes of text of each token; a BPE token may be a part of a character.

        The space before a word belongs to its first token. BOS, EOS and padding have no text.
        """
        tokens = [self._backend.id_to_token(token) or "" for token in range(self.vocab_size)]
        if self.kind == "bpe":
            byte_of = _byte_of_character()
            pieces = [bytes(byte_of[character] for character in token if character in byte_of) for token in tokens]
            for number, token in self._backend.get_added_tokens_decoder().items():
                pieces[number] = token.content.encode()  # as it is, not byte by byte
        else:
            continuation = CONTINUATION if self.kind == "wordpiece" else ""
            pieces = [token.removeprefix(continuation).replace(WORD_START, " ").encode() for token in tokens]
        for mark in (self.marks.pad, self.marks.bos, self.marks.eos, *self.tags.control):
            if mark is not None:
                pieces[mark] = b""
        if self.marks.unk is not None:
            pieces[self.marks.unk] = SPECIAL_TOKENS[UNK_ID].encode()
        return pieces

    def token_texts(self, ids: TokenIds) -> list[str]:
        """Returns the text of each token by itself, with the space before a word; for a special token its name.

        A part of a character becomes U+FFFD.
        """
        return [self._texts[int(token)] for token in ids]

    @functools.cached_property
    def _texts(self) -> list[str]:
        texts = [piece.decode(errors="replace") for piece in self.pieces()]
        names = self._names_by_id()
        for token in self.tags.control:
            texts[token] = names[token] or ""
        if self.marks == OURS:
            return [*SPECIAL_TOKENS, *texts[len(SPECIAL_TOKENS) :]]
        for mark in (self.marks.bos, self.marks.eos):
            texts[mark] = self._backend.id_to_token(mark)
        return texts

    def unkept(self, text: str) -> list[str]:
        """Returns the parts of a line that encoding and decoding lose; [] if the line is restored.

        Differences in Unicode normal form, and a byte order mark at the start, are ignored.

        A byte-level BPE loses nothing. WordPiece and characters lose characters that were not in their training text.
        WordPiece loses the whole word around such a character, and ``▁``, which represents a space.
        """
        encoding = self._backend.encode(text, add_special_tokens=False)
        pieces = zip(encoding.ids, encoding.offsets, strict=True)
        unknown = [text[start:end] for token, (start, end) in pieces if token == self.marks.unk]
        if unknown:
            return [piece.strip(" ") or piece for piece in unknown]
        decoded = self.decode(encoding.ids)
        if decoded == text or _canonical(decoded) == _canonical(text):
            return []
        start = _length_in_common(text, decoded)
        end = _length_in_common(text[start:][::-1], decoded[start:][::-1])
        return [text[start : len(text) - end] or text]


class SentencePieceTokenizer(Tokenizer):
    """A tokenizer with a SentencePiece model each for source and target.

    If the vocabulary has tokens such as `>>deu<<`, a line may start with one to name the language to translate into.
    Pieces that are not in the vocabulary are unknown, and decoding leaves them out. Its tokenizer.json contains the
    files of both models.
    """

    def __init__(
        self,
        pieces: Mapping[str, int],
        source_model: bytes,
        target_model: bytes,
        name: str = "tokenizer",
        tags: Tags = Tags(),  # noqa: B008 - never changed
    ):
        """Creates the tokenizer.

        Args:
          pieces: the id of each piece.
          source_model: the content of the SentencePiece file of the source language.
          target_model: the content of the SentencePiece file of the target language.
          name: the name of the tokenizer in error messages.
          tags: the tokens around a text.

        Raises:
          InputError: if sentencepiece is not installed or cannot read a model, or if the special tokens are wrong.
        """
        self.kind = "sentencepiece"
        self.tags = tags
        self._pieces = {**pieces, SPECIAL_TOKENS[BOS_ID]: pieces.get(SPECIAL_TOKENS[BOS_ID], BOS_ID)}
        self._names = {number: piece for piece, number in self._pieces.items()}
        self.vocab_size = max(self._names) + 1
        self._models = {"source": source_model, "target": target_model}
        self._source, self._target = (
            load_sentence_piece(f"{name}, {side}", data) for side, data in self._models.items()
        )
        special = {SPECIAL_TOKENS[number]: number for number in (PAD_ID, UNK_ID, EOS_ID)}
        if any(self._pieces.get(token) != number for token, number in special.items()):
            raise InputError(f"{name}: its vocabulary must contain {special}")

    @classmethod
    def from_content(cls, content: Mapping[str, Any], name: str) -> "SentencePieceTokenizer":
        """Restores a tokenizer from the content of its tokenizer.json; raises InputError if that is damaged."""
        try:
            model = content["model"]
            pieces = {str(piece): int(number) for piece, number in model["vocab"].items()}
            target = model.get("target", model["source"])  # none: one model for all languages
            source, target = (base64.b64decode(data, validate=True) for data in (model["source"], target))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name}: is damaged ({type(error).__name__}: {error}); import the model again") from None
        return cls(pieces, source, target, name, Tags.from_json(content.get("tags", {}), name))

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json that restores this tokenizer."""
        models = {side: base64.b64encode(data).decode() for side, data in self._models.items()}
        if models["source"] == models["target"]:
            del models["target"]
        tags = {} if self.tags == Tags() else {"tags": self.tags.to_json()}
        model = {"type": SENTENCE_PIECE, "vocab": self._pieces, **models}
        return json.dumps({**tags, "model": model}, ensure_ascii=False, indent=1)

    def with_tokens(self, tokens: Sequence[str]) -> "SentencePieceTokenizer":
        """Returns a tokenizer with more languages, such as `>>deu<<`; raises InputError for other tokens."""
        if self.tags != Tags():
            raise InputError(
                f"new_tokens: {tokens[0]!r} cannot be added to a multilingual SentencePiece tokenizer; leave out "
                "--fine-tuning.new-tokens"
            )
        for token in tokens:
            if token in self._pieces:
                raise InputError(f"new_tokens: {token!r} is already a token of the tokenizer; leave it out")
            if not (token.startswith(">>") and token.endswith("<<")):
                raise InputError(
                    f"new_tokens: {token!r} cannot be added to a SentencePiece tokenizer, only the names of languages "
                    "such as >>deu<<"
                )
        added = {token: number for number, token in enumerate(tokens, start=self.vocab_size)}
        return SentencePieceTokenizer({**self._pieces, **added}, self._models["source"], self._models["target"])

    def _names_by_id(self) -> list[str | None]:
        return [self._names.get(token) for token in range(self.vocab_size)]

    def encode(self, text: str) -> list[int]:
        """Returns the ids of one line of the source language."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the source language, using all cores."""
        return self._ids(self._split_with(self._source, texts))

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the target language, using all cores."""
        return self._ids(self._split_with(self._target, texts))

    def _ids(self, lines: Iterable[Iterable[str]]) -> list[list[int]]:
        return [[self._pieces.get(piece, UNK_ID) for piece in line] for line in lines]

    def decode(self, ids: TokenIds) -> str:
        """Returns the text of token ids of the target language."""
        special = {PAD_ID, UNK_ID, BOS_ID, EOS_ID, *self._control}
        pieces = [self._names[number] for number in map(int, ids) if number not in special and number in self._names]
        return self._target.decode_pieces(pieces).replace("▁", " ").strip()

    def decode_batch(self, ids: Any) -> list[str]:
        """Returns the text of each sequence of token ids of the target language."""
        return [self.decode(row) for row in ids]

    def normalize(self, text: str) -> str:
        """Returns a text in the form that the tokenizer writes."""
        return self._target.normalize(text).replace("▁", " ").strip()

    def pieces(self) -> list[bytes]:
        """Returns the bytes of text of each token; BOS, EOS, padding and the unknown token have no text."""
        special = {PAD_ID, UNK_ID, BOS_ID, EOS_ID, *self._control}
        names = ["" if number in special else self._names.get(number, "") for number in range(self.vocab_size)]
        return [name.replace("▁", " ").encode() for name in names]

    def unkept(self, text: str) -> list[str]:
        """Returns the unknown pieces of a target line, or the line itself if decoding does not restore it."""
        unknown = [piece for piece in self._split_with(self._target, [text])[0] if piece not in self._pieces]
        kept = self.decode(self.encode_targets([text])[0]) == text
        return unknown or ([] if kept else [text])

    def _split_with(self, model: Any, texts: Sequence[str]) -> list[list[str]]:
        """Returns the pieces of each line. A language in front, such as `>>deu<<`, is a piece, unless tags name it."""
        if self.tags.languages:
            return model.encode(list(texts), out_type=str)
        ends = [text.index("<<") + 2 if text.startswith(">>") and "<<" in text else 0 for text in texts]
        lines = model.encode([text[end:] for text, end in zip(texts, ends, strict=True)], out_type=str)
        return [[text[:end], *line] if end else line for text, end, line in zip(texts, ends, lines, strict=True)]


def _stages(normalizer: Any) -> list[Any]:
    if normalizer is None:
        return []
    return list(normalizer) if type(normalizer).__name__ == "Sequence" else [normalizer]


def _canonical(text: str) -> str:
    return unicodedata.normalize("NFC", text.lstrip("\ufeff"))


def _marks_of(backend: Any, model: str, given: Any, name: str) -> Marks:
    """Returns the special tokens that a tokenizer.json lists, or else finds them; raises InputError if it cannot."""
    if given is not None:
        return _given_marks(given, backend.get_vocab(with_added_tokens=True).values(), name)
    found = [backend.token_to_id(token) for token in SPECIAL_TOKENS]
    if found == [PAD_ID, UNK_ID, BOS_ID, EOS_ID]:
        return OURS
    end = backend.token_to_id(END_OF_TEXT)
    if model == "BPE" and end is not None:
        return Marks(None, None, end, end, begins=False)
    raise InputError(f"{name}: the tokens {' '.join(SPECIAL_TOKENS)} have the ids {found}; they must be 0 1 2 3")


def _given_marks(given: Any, ids: Collection[int], name: str) -> Marks:
    try:
        marks = Marks(**given)
    except TypeError:
        raise InputError(f"{name}: marks = {given!r}: must have the fields {', '.join(Marks._fields)}") from None
    known = set(ids)
    wrong = [
        field
        for field, value in marks._asdict().items()
        if field != "begins" and not (value in known or (value is None and field in ("pad", "unk")))
    ]
    if wrong:
        raise InputError(f"{name}: marks = {given!r}: no token has the id given for {', '.join(wrong)}")
    return marks


def _length_in_common(a: str, b: str) -> int:
    different = (index for index, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])
    return next(different, min(len(a), len(b)))


def _byte_of_character() -> dict[str, int]:
    """Returns the byte that each character of a byte-level BPE represents.

    Printable bytes are represented by their own character, the others by the characters from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def load_sentence_piece(name: str, data: bytes) -> Any:
    """Returns a SentencePiece model; raises InputError if it cannot be read or sentencepiece is not installed."""
    try:
        import sentencepiece
    except ImportError as error:
        raise InputError(f"{name}: needs sentencepiece: pip install 'tfmr[interop]' ({error})") from None
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise InputError(f"{name}: not a SentencePiece model ({str(error).splitlines()[0]})") from None
