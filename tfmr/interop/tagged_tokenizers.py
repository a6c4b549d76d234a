"""Tokenizers of M2M100, NLLB, BART and mBART: from the files of their folders, and back to them.

A folder has tokenizer.json, or a SentencePiece model (M2M100 and mBART-50 on the Hugging Face hub), or BART's
vocab.json and merges.txt. The tokens that such a model reads and writes around a text become the tokenizer's `Tags`.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfmr.data.tags import Tags
from tfmr.data.tokenizer import BOS_ID, EOS_ID, OURS, SENTENCE_PIECE, UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import folders
from tfmr.interop.gpt2 import byte_level_bpe

_PIECES = "sentencepiece.bpe.model"
_START = "<start of target>"
"""The name of BOS in the vocabulary of a model in which another token starts a target."""
_BEGIN, _PAD, _END, _UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
_FAIRSEQ = {_BEGIN: 0, _PAD: 1, _END: 2, _UNKNOWN: 3}
_LANGUAGE = re.compile(r"__(\w+)__|([a-z]{2,3}_[A-Z]\w{1,3})")
"""The token of a language: __en__ in M2M100, eng_Latn in NLLB, en_XX in mBART."""
_M2M100 = (
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he "
    "hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no "
    "ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo "
    "zh zu"
)
"""The languages of M2M100 in the order of their tokens, which its files need not list."""


@dataclass(frozen=True)
class TheirTokenizer:
    """The tokenizer of a folder, before its ids are put into tfmr's order."""

    ids: Mapping[str, int]
    """The id of each token."""
    special: Sequence[str]
    """The tokens that are not text."""
    settings: Mapping[str, Any]
    """The content of tokenizer_config.json."""
    content: Mapping[str, Any] | None = None
    """The content of tokenizer.json."""
    pieces: bytes = b""
    """The SentencePiece model, if there is no tokenizer.json."""

    @property
    def languages(self) -> dict[str, int]:
        """The id of each language by its code."""
        found = {token: _LANGUAGE.fullmatch(token) for token in self.special}
        return {match[1] or match[2]: self.ids[token] for token, match in found.items() if match}

    def language(self, token: Any) -> str:
        """Returns the code of the language that a token names; empty if it is none."""
        return next((code for code, number in self.languages.items() if number == token), "")


def read_tokenizer(folder: Path, vocab_size: int) -> TheirTokenizer:
    """Returns the tokenizer of a folder with any of the files that such folders have.

    Raises:
      InputError: if the files are damaged, or the names of the languages are in none of them.
    """
    settings = folders.read_optional_json(folder / "tokenizer_config.json")
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder / "tokenizer.json", folders.read_json(folder / "tokenizer.json"), settings, vocab_size)
    if (folder / "merges.txt").is_file():
        vocab = folders.read_json(folder / "vocab.json")
        mask = [token for token in ("<mask>",) if token in vocab]
        special = {token: vocab[token] for token in (*_FAIRSEQ, *mask) if token in vocab}
        content = byte_level_bpe(folder, vocab, special)
        return _from_json(folder / "vocab.json", content, settings, vocab_size)
    return _from_pieces(folder, settings, vocab_size)


def missing_tokenizer(folder: Path, model_type: str) -> list[str]:
    """Returns what a folder lacks of a tokenizer that `read_tokenizer` reads; [] if it has one."""
    if (folder / "tokenizer.json").is_file():
        return []
    if model_type == "bart":
        missing = folders.missing_files(folder, ("vocab.json", "merges.txt"))
        return ["tokenizer.json"] if len(missing) == 2 else missing
    return [] if (folder / _PIECES).is_file() else ["tokenizer.json", _PIECES]


def _from_json(file: Path, content: Mapping[str, Any], settings: Mapping[str, Any], vocab_size: int) -> TheirTokenizer:
    try:
        ids = folders.token_ids(content)
        special = [token["content"] for token in content.get("added_tokens") or [] if token.get("special")]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not a tokenizer.json of the tokenizers library ({error!r}); copy it again") from None
    _check_ids(file, ids, vocab_size)
    return TheirTokenizer(ids, special, settings, content=content)


def _from_pieces(folder: Path, settings: Mapping[str, Any], vocab_size: int) -> TheirTokenizer:
    """Returns the tokenizer of a SentencePiece model: M2M100's with vocab.json, others in fairseq's order."""
    from sentencepiece import SentencePieceProcessor

    file, data = folder / "vocab.json", (folder / _PIECES).read_bytes()
    if file.is_file():
        ids = dict(folders.read_json(file))
        first_language = len(ids)
    else:
        file = folder / _PIECES
        try:
            model: Any = SentencePieceProcessor(model_proto=data)
        except RuntimeError as error:
            raise InputError(f"{file}: not a SentencePiece model ({str(error).splitlines()[0]})") from None
        text = range(3, model.get_piece_size())  # after SentencePiece's <unk>, <s> and </s>
        ids = _FAIRSEQ | {model.id_to_piece(number): number + 1 for number in text}
        first_language = model.get_piece_size() + 1
    languages = _listed_languages(folder, settings, first_language)
    ids |= languages
    if file.name == _PIECES:
        ids.setdefault("<mask>", first_language + len(languages))
    ids = {token: number for token, number in ids.items() if token != "<mask>" or number < vocab_size}
    _check_ids(file, ids, vocab_size)
    special = [token for token in (*_FAIRSEQ, *languages, "<mask>") if token in ids]
    return TheirTokenizer(ids, special, settings, pieces=data)


def _listed_languages(folder: Path, settings: Mapping[str, Any], first: int) -> dict[str, int]:
    """Returns the ids of the tokens of languages, which the SentencePiece model does not have."""
    with_ids = {token["content"]: int(key) for key, token in (settings.get("added_tokens_decoder") or {}).items()}
    with_ids |= folders.read_optional_json(folder / "added_tokens.json")
    found = {token: number for token, number in with_ids.items() if _LANGUAGE.fullmatch(token)}
    if found:
        return found
    more = folders.read_optional_json(folder / "special_tokens_map.json")
    lists = [
        each.get(key) for each in (settings, more) for key in ("additional_special_tokens", "extra_special_tokens")
    ]
    for tokens in filter(None, lists):
        names = [token if isinstance(token, str) else token["content"] for token in tokens]
        languages = [name for name in names if _LANGUAGE.fullmatch(name)]
        if languages:
            return {name: first + index for index, name in enumerate(languages)}
    if (folder / "vocab.json").is_file() and settings.get("language_codes", "m2m100") == "m2m100":
        return {f"__{code}__": first + index for index, code in enumerate(_M2M100.split())}
    raise InputError(
        f"{folder}: the tokens of its languages are in neither tokenizer_config.json nor special_tokens_map.json; copy "
        "these files, or tokenizer.json"
    )


def _check_ids(file: Path, ids: Mapping[str, int], vocab_size: int) -> None:
    missing = [token for token in _FAIRSEQ if token not in ids]
    if missing:
        raise InputError(f"{file}: has no token {' and no '.join(missing)}")
    if max(ids.values()) >= vocab_size:
        raise InputError(
            f"{file}: has token id {max(ids.values())}; ids must be below vocab_size = {vocab_size} in config.json"
        )


def our_tokenizer(theirs: TheirTokenizer, order: Sequence[int], tags: Tags, name: str) -> Tokenizer:
    """Returns the tokenizer with tfmr's ids.

    Args:
      theirs: the tokenizer of the folder.
      order: its id of each of tfmr's tokens.
      tags: the tags, with tfmr's ids.
      name: how error messages refer to the tokenizer.
    """
    ours = our_ids(order)
    copied = len(ours) < len(order)
    if theirs.content is None:
        pieces = {token: ours[number] for token, number in theirs.ids.items()}
        model = {"type": SENTENCE_PIECE, "vocab": pieces, "source": base64.b64encode(theirs.pieces).decode()}
        content = {"tags": tags.to_json(), "model": model}
    else:
        content = _permuted(theirs.content, ours, {_START: BOS_ID} if copied else {}, name)
        content = {"marks": OURS._asdict(), "tags": tags.to_json(), **content, "post_processor": None}
    return Tokenizer.from_json(json.dumps(content, ensure_ascii=False), name)


def our_ids(order: Sequence[int]) -> dict[int, int]:
    """Returns tfmr's id of each token of a model from the model's id of each of tfmr's; a copy of BOS is left out."""
    return {token: number for number, token in enumerate(order) if number != BOS_ID or order.count(token) == 1}


def their_files(tokenizer: Tokenizer, model_type: str, order: Sequence[int]) -> dict[str, bytes]:
    """Returns the files from which transformers loads a tokenizer.

    Args:
      tokenizer: the tokenizer.
      model_type: the family of the model.
      order: tfmr's id of each token of the exported model.
    """
    tags, theirs = tokenizer.tags, {ours: number for number, ours in enumerate(order)}
    content: dict[str, Any] = json.loads(tokenizer.to_json())
    names = {number: token for token, number in folders.token_ids(content).items()}
    special: dict[str, Any] = {
        "pad_token": _PAD, "unk_token": _UNKNOWN, "bos_token": _BEGIN, "eos_token": _END,
        "cls_token": _BEGIN, "sep_token": _END,
    }  # fmt: skip
    settings = {"tokenizer_class": _class_of(tokenizer, model_type), **special, "clean_up_tokenization_spaces": False}
    languages = [names[number] for number in sorted(tags.languages.values())]
    if languages:
        settings |= {"src_lang": tags.source or None, "tgt_lang": tags.target or None}
        settings["additional_special_tokens"] = languages
    if content["model"]["type"] == SENTENCE_PIECE:
        files = {_PIECES: base64.b64decode(content["model"]["source"])}
        if settings["tokenizer_class"] == "M2M100Tokenizer":
            pieces = content["model"]["vocab"]
            vocab = {token: theirs[number] for token, number in pieces.items() if token not in languages}
            files["vocab.json"] = folders.to_json(dict(sorted(vocab.items(), key=lambda item: item[1])))
    else:
        content = _permuted(content, theirs, {}, "tokenizer.json")
        content["post_processor"] = _template(tags, names, theirs)
        files = {"tokenizer.json": folders.to_json(content)}
        if not languages:
            settings["split_special_tokens"] = True  # special tokens in text are read as text
    return files | {"tokenizer_config.json": folders.to_json(settings)}


def _class_of(tokenizer: Tokenizer, model_type: str) -> str:
    """Returns the class of transformers that loads a tokenizer."""
    if not tokenizer.tags.languages:
        return "PreTrainedTokenizerFast"
    if model_type == "mbart":
        return "MBart50Tokenizer" if tokenizer.tags.source_before else "MBartTokenizer"
    return "NllbTokenizer" if any("_" in code for code in tokenizer.tags.languages) else "M2M100Tokenizer"


def _permuted(
    content: Mapping[str, Any], new_ids: Mapping[int, int], added: Mapping[str, int], name: str
) -> dict[str, Any]:
    """Returns the content of a tokenizer.json with other ids, without the tokens that have none, and with others."""
    model = {**content["model"]}
    if model["type"] == "Unigram":
        entries = {new_ids[old]: entry for old, entry in enumerate(model["vocab"]) if old in new_ids}
        lowest = min(score for _, score in entries.values())
        entries |= {number: [token, lowest] for token, number in added.items()}
        if sorted(entries) != list(range(len(entries))):
            raise InputError(f"{name}: its pieces do not have consecutive ids after the special tokens are reordered")
        model |= {"vocab": [entries[number] for number in range(len(entries))], "unk_id": new_ids[model["unk_id"]]}
    else:
        vocab = {token: new_ids[old] for token, old in model["vocab"].items() if old in new_ids}
        model["vocab"] = {**vocab, **added}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokens = [
        {**token, "id": new_ids[token["id"]]} for token in content.get("added_tokens") or [] if token["id"] in new_ids
    ]
    tokens += [{"id": number, "content": token, **flags, "special": True} for token, number in added.items()]
    rest = {key: value for key, value in content.items() if key not in ("marks", "tags")}
    return {**rest, "added_tokens": sorted(tokens, key=lambda token: token["id"]), "model": model}


def _template(tags: Tags, names: Mapping[int, str], theirs: Mapping[int, int]) -> dict[str, Any]:
    """Returns the post-processor that puts the tags around a source; without its language if none is chosen."""
    chosen = {**tags.languages, "": None}

    def ids(items: Sequence[int | str]) -> list[int]:
        found = [item if isinstance(item, int) else chosen[tags.source] for item in items]
        return [number for number in found if number is not None]

    def special(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": names[number], "type_id": 0}} for number in numbers]

    before, after = ids(tags.source_before), ids(tags.source_after)
    first, second = ({"Sequence": {"id": side, "type_id": 0}} for side in ("A", "B"))
    tokens = {names[number]: theirs[number] for number in (*before, *after)}
    return {
        "type": "TemplateProcessing",
        "single": [*special(before), first, *special(after)],
        "pair": [*special(before), first, second, *special(after)],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in tokens.items()},
    }


def tags_of(theirs: TheirTokenizer, model_type: str, values: Mapping[str, Any], order: Sequence[int]) -> Tags:
    """Returns the tags of a model.

    Args:
      theirs: its tokenizer.
      model_type: its family.
      values: the content of its config.json and generation_config.json.
      order: its id of each of tfmr's tokens.
    """
    ours = our_ids(order)
    control = tuple(sorted({BOS_ID, UNK_ID, *(ours[theirs.ids[token]] for token in theirs.special)}))
    forced, settings = values.get("forced_bos_token_id"), theirs.settings
    if model_type == "bart":
        before_target = () if forced is None else (ours[forced],)
        return Tags((ours[theirs.ids[_BEGIN]],), target_before=before_target, control=control)
    languages = {code: ours[number] for code, number in theirs.languages.items()}
    starts_with = theirs.language(order[BOS_ID])
    source, target = settings.get("src_lang") or "", settings.get("tgt_lang") or theirs.language(forced)
    known: dict[str, Any] = dict(
        languages=languages,
        source=source if source in languages else "",
        target=starts_with or (target if target in languages else ""),
        control=control,
    )
    if starts_with or settings.get("legacy_behaviour"):
        return Tags((), (EOS_ID, "source"), () if starts_with else ("target",), **known)
    return Tags(("source",), target_before=("target",), **known)
