"""Models in Marian's own format, such as those of Firefox and Bergamot.

Marian computes the same function as tfmr with these conventions:
  - Sinusoids are tensor2tensor's, and LayerNorm has an epsilon of 1e-6.
  - Matrices are [inputs, outputs], with the heads flattened into one axis; vectors are [1, outputs].
  - A target starts with a vector of zeros, not with the embedding of a token. An imported model has a row of zeros for
    BOS, and a bias with which BOS is never written. The same holds for PAD. Marian has neither token.
"""

import base64
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfmr.config import Config, DecodingConfig, PairsConfig, TransformerConfig
from tfmr.data.tokenizer import SENTENCE_PIECE, SPECIAL_TOKENS, Tokenizer, load_sentence_piece
from tfmr.errors import InputError
from tfmr.interop import compatibility
from tfmr.interop.marian_binary import is_marian_binary, parse_yaml, read_marian_binary
from tfmr.interop.marian_model import NEVER
from tfmr.interop.weights import check_weights, unflatten, weight_shapes

_SIZES = ("dim-emb", "enc-depth", "dec-depth", "transformer-heads", "transformer-dim-ffn")
_ALLOWED: dict[str, tuple[Any, ...]] = {
    "type": ("transformer",),
    "transformer-ffn-depth": (2,),
    "transformer-decoder-ffn-depth": (0, 2),
    "transformer-decoder-autoreg": ("self-attention", "rnn"),
    # Versions of Marian differ in what pre-norm layers normalise, so only post-norm is read.
    "transformer-preprocess": ("", "d"),
    "transformer-postprocess": ("dan", "an"),
    "transformer-postprocess-emb": ("d", ""),
    "transformer-postprocess-top": ("",),
    "transformer-no-projection": (False,),
    "transformer-rnn-projection": (False,),
    "transformer-pool": (False,),
    "transformer-tied-layers": ([],),
    "transformer-train-position-embeddings": (False,),
    "transformer-disable-position-embeddings": (False,),
    "transformer-attention-mask": ("default",),
    "transformer-no-bias": (False,),
    "transformer-no-affine": (False,),
    "layer-normalization": (False,),
    "right-left": (False,),
    "input-types": ([],),
    "lemma-dim-emb": (0,),
    "ulr": (False,),
}
"""The values of options that tfmr has. The first is assumed where a file of another version lacks the option."""


def find_marian_binary(source: str | os.PathLike) -> Path | None:
    """Returns a file if it contains a model in Marian's binary format, or the only such file of a folder.

    None: there is none.

    Raises:
      InputError: if the folder has several of them.
    """
    source = Path(source)
    files = [source] if source.is_file() else sorted(source.glob("*.bin"))
    found = [file for file in files if is_marian_binary(file)]
    if len(found) > 1:
        raise InputError(f"{source}: has {len(found)} Marian models; give one of {', '.join(map(str, found))}")
    return found[0] if found else None


def read_marian_native(file: str | os.PathLike, vocabulary: str | os.PathLike = "") -> tuple[Config, Tokenizer, Any]:
    """Returns the configuration, tokenizer and parameters of a model in Marian's binary format.

    The beam size and the length penalty are those of Marian's configuration file for decoding, if it is beside the
    model.

    Args:
      file: the model.
      vocabulary: its vocab.spm. Empty: the file that the configuration file names, or the only .spm beside the model.

    Raises:
      InputError: if a file is missing or damaged; or listing every option that tfmr does not have, or every weight that
        does not fit.
    """
    file = Path(file)
    options, weights = read_marian_binary(file)
    settings = _settings(file)
    vocabulary = Path(vocabulary) if vocabulary else _vocabulary(file, settings)
    if not vocabulary.is_file():
        raise InputError(f"{vocabulary}: file not found; give the vocab.spm of {file}")
    proto = vocabulary.read_bytes()
    pieces = load_sentence_piece(str(vocabulary), proto)
    ids = [-1, pieces.unk_id(), -1, pieces.eos_id()]
    if min(ids[1], ids[3]) < 0:
        raise InputError(f"{vocabulary}: has no unknown token or no EOS token; it cannot belong to a Marian model")
    ids += sorted(set(range(pieces.get_piece_size())) - set(ids))
    model, params = from_marian_native(options, weights, ids, str(file))
    tokenizer = Tokenizer.from_json(_tokenizer_json(pieces, proto, ids), str(vocabulary))
    return (
        Config(
            model=model,
            data=PairsConfig(corpus="text", source_language="", target_language=""),
            decoding=_decoding(settings),
        ),
        tokenizer,
        params,
    )


def from_marian_native(
    options: Mapping[str, Any], weights: Mapping[str, np.ndarray], ids: Sequence[int], name: str = "this model"
) -> tuple[TransformerConfig, dict[str, Any]]:
    """Returns the configuration and parameters of a Marian model.

    Args:
      options: the options with which it was built.
      weights: its weights under Marian's names.
      ids: Marian's id of each of tfmr's tokens; -1 for the two that Marian does not have.
      name: how error messages refer to the model.

    Raises:
      InputError: listing every option that tfmr does not have, or every weight that does not fit.
    """
    num_pieces = len(ids) - 2
    compatibility.refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(options, num_pieces))
    config = _config(options, num_pieces)
    weights = dict(weights)
    if options.get("output-omit-bias"):
        weights[_OUTPUT_BIAS] = np.zeros((1, num_pieces), np.float32)
    if _OLD_OUTPUT in weights:
        weights[_OUTPUT] = weights.pop(_OLD_OUTPUT).T
    shapes = weight_shapes(config)
    theirs = {ours: _name(ours, config) for ours in shapes}
    check_weights(weights, {theirs[ours]: _shape(ours, shape) for ours, shape in shapes.items()}, name)
    found = {ours: np.asarray(weights[theirs[ours]], np.float32).reshape(shape) for ours, shape in shapes.items()}
    for table in [ours for ours in found if ours.endswith("embedding.embedding")]:
        found[table] = np.pad(found[table], ((0, 1), (0, 0)))[ids]
    found["output_bias"] = np.append(found["output_bias"], NEVER)[ids]
    config = replace(config, vocab_size=len(ids))
    return config, unflatten(found, config, name)


def _unsupported(options: Mapping[str, Any], num_pieces: int) -> list[str]:
    """Returns a reason for each option that tfmr does not have."""
    reasons = compatibility.wrong_counts(options, _SIZES)
    allowed = _ALLOWED | {"transformer-decoder-dim-ffn": (0, options.get("transformer-dim-ffn"))}
    if options.get("transformer-decoder-autoreg") == "rnn":
        allowed["dec-cell"] = ("ssru",)
    if not options.get("tied-embeddings") and not options.get("tied-embeddings-all"):
        allowed["tied-embeddings-src"] = (False,)
    for option, values in allowed.items():
        if (given := options.get(option, values[0])) not in values:
            reasons.append(f"{option} = {given!r}, must be {' or '.join(map(repr, values))}")
    reasons += compatibility.wrong_choice(options, "transformer-ffn-activation", ("relu", "swish"))
    if options.get("dim-vocabs") != [num_pieces] * 2:
        reasons.append(
            f"dim-vocabs = {options.get('dim-vocabs')!r}, must be {[num_pieces] * 2}, one vocabulary for both languages"
        )
    if not reasons and (options["dim-emb"] % 2 or options["dim-emb"] % options["transformer-heads"]):
        reasons.append(f"dim-emb = {options['dim-emb']}, must be even and divisible by transformer-heads")
    return reasons


def _config(options: Mapping[str, Any], vocab_size: int) -> TransformerConfig:
    """Returns the configuration of a model whose options tfmr has, with Marian's vocabulary."""
    head = options["dim-emb"] // options["transformer-heads"]
    tied, source_too = options.get("tied-embeddings"), options.get("tied-embeddings-src")
    shared = options.get("tied-embeddings-all") or (tied and source_too)
    return TransformerConfig(
        vocab_size=vocab_size,
        num_encoder_layers=options["enc-depth"],
        num_decoder_layers=options["dec-depth"],
        d_model=options["dim-emb"],
        d_ff=options["transformer-dim-ffn"],
        num_heads=options["transformer-heads"],
        d_k=head,
        d_v=head,
        norm_epsilon=1e-6,
        positions="tensor2tensor",
        tie_embeddings="all" if shared else "decoder" if tied else "none",
        attention_bias=True,
        activation=options["transformer-ffn-activation"],
        decoder_recurrence="ssru" if options.get("transformer-decoder-autoreg") == "rnn" else "none",
        output_bias=True,
    )


_OUTPUT, _OLD_OUTPUT, _OUTPUT_BIAS = "decoder_ff_logit_out_Wt", "decoder_ff_logit_out_W", "decoder_ff_logit_out_b"
"""The output layer. Older versions of Marian do not store it transposed."""
_OUTSIDE_LAYERS = {
    "embedding.embedding": "decoder_Wemb",
    "source_embedding.embedding": "encoder_Wemb",
    "output_embedding.embedding": _OUTPUT,
    "output_bias": _OUTPUT_BIAS,
}
_IN_LAYERS = {"self_attention": "self", "cross_attention": "context", "recurrence": "rnn", "feed_forward": "ffn"}
_ATTENTION = ("query", "key", "value", "output")
_PARTS = {
    **{name: f"W{name[0]}" for name in _ATTENTION},
    **{f"{name}_bias": f"b{name[0]}" for name in _ATTENTION},
    "up.kernel": "W1",
    "up.bias": "b1",
    "down.kernel": "W2",
    "down.bias": "b2",
    "input": "W",
    "forget": "Wf",
    "forget_bias": "bf",
    "gamma": "ln_scale",
    "beta": "ln_bias",
}


def _name(ours: str, config: TransformerConfig) -> str:
    """Returns Marian's name of a weight."""
    if ours == "embedding.embedding" and config.tie_embeddings == "all":
        return "Wemb"
    if ours in _OUTSIDE_LAYERS:
        return _OUTSIDE_LAYERS[ours]
    stack, layer, rest = ours.split(".", 2)
    block, part = rest.split(".", 1)
    owner = block.removesuffix("_norm")
    prefix = f"{stack}_l{int(layer.removeprefix('layer_')) + 1}_{_IN_LAYERS[owner]}"
    if owner == block:
        return f"{prefix}_{_PARTS[part]}"
    return f"{prefix}_{'Wo' if owner.endswith('attention') else 'ffn'}_{_PARTS[part]}"


def _shape(ours: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the shape in Marian of a weight of this shape."""
    if ours.endswith(("bias", "gamma", "beta")):
        return 1, math.prod(shape)
    if ours.endswith("attention.output"):
        return math.prod(shape[:-1]), shape[-1]
    return shape[0], math.prod(shape[1:])


def _settings(file: Path) -> dict[str, Any]:
    """Returns Marian's configuration for decoding with a model, from a YAML file beside it; empty if there is none."""
    for candidate in sorted([*file.parent.glob("*.yml"), *file.parent.glob("*.yaml")]):
        content = candidate.read_bytes()
        if file.name.encode() in content:
            return parse_yaml(content, str(candidate))
    return {}


def _vocabulary(file: Path, settings: Mapping[str, Any]) -> Path:
    """Returns the vocabulary that the configuration names, or the only one beside a model."""
    named = settings.get("vocabs")
    names = {Path(str(each)).name for each in named} if isinstance(named, list) else set()
    found = sorted(file.parent / name for name in names) or sorted(file.parent.glob("*.spm"))
    if not found:
        raise InputError(f"{file.parent}: has no vocab.spm; add it, or give it with --tokenizer")
    if len({each.read_bytes() if each.is_file() else b"" for each in found}) > 1:
        listed = ", ".join(each.name for each in found)
        raise InputError(
            f"{file.parent}: has the vocabularies {listed}; tfmr needs a single one for both languages: if one of them "
            "covers both, give it with --tokenizer"
        )
    return found[0]


def _decoding(settings: Mapping[str, Any]) -> DecodingConfig:
    """Returns the settings that tfmr has as well: the beam size, and the length penalty."""
    beam_size, normalize = settings.get("beam-size"), settings.get("normalize")
    config = DecodingConfig()
    if isinstance(beam_size, int) and beam_size > 0:
        config = replace(config, beam_size=beam_size)
    if isinstance(normalize, int | float) and 0 <= normalize < math.inf:
        config = replace(config, length_penalty="power", alpha=float(normalize))
    return config


def _tokenizer_json(pieces: Any, proto: bytes, ids: Sequence[int]) -> str:
    """Returns the text of tfmr's tokenizer.json for a SentencePiece model of both languages.

    Args:
      pieces: the SentencePiece model.
      proto: the content of its file.
      ids: Marian's id of each of tfmr's tokens.
    """
    first = len(SPECIAL_TOKENS)
    names = {pieces.id_to_piece(theirs): ours for ours, theirs in enumerate(ids) if ours >= first}
    names |= {token: ours for ours, token in enumerate(SPECIAL_TOKENS)}
    models = dict.fromkeys(("source", "target"), base64.b64encode(proto).decode())
    return json.dumps({"model": {"type": SENTENCE_PIECE, "vocab": names, **models}}, ensure_ascii=False)
