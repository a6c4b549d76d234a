"""T5, T5 v1.1, mT5, umT5 and MADLAD-400 of Hugging Face transformers: config.json and weights, in both directions.

They compute the same function as tfmr's models, with the same blocks. They differ in this:
  - The ids of the special tokens are padding 0, EOS 1 and unknown 2, or any others; tfmr's order is padding, unknown,
    BOS, EOS.
  - A target starts with padding, or in MADLAD-400 with the unknown token. `start_token` is its id.
  - T5 has one width for keys and values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tfmr.errors import InputError
from tfmr.interop import compatibility
from tfmr.interop.weight_names import ACTIVATIONS, OUR_ACTIVATIONS, Weight, described_weights
from tfmr.interop.weights import check_weights, flatten, unflatten

MODEL_CLASSES = {
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
}
"""The class of transformers for each `model_type` in config.json. T5 v1.1 and MADLAD-400 are t5."""

_OPTIONS: dict[str, Any] = dict(
    norm="pre",
    norm_type="rms",
    scale_embeddings=False,
    embedding_norm=False,
    scale_scores=False,
    attention_bias=False,
    feed_forward_bias=False,
    output_bias=False,
)
"""The options in which T5 differs from the paper, and which all of its models have."""
_POSITIONS = {"t5": "relative", "mt5": "relative", "umt5": "relative_by_layer"}


def check_t5(model_type: str, config: ModelConfig) -> None:
    """Raises an InputError that lists every reason why a T5, mT5 or umT5 cannot represent a model."""
    model: TransformerConfig = compatibility.require_kind(model_type, config)
    reasons = compatibility.wrong_fields(model, **_OPTIONS, positions=_POSITIONS[model_type])
    if model_type == "mt5":
        reasons += compatibility.wrong_fields(model, scale_output=False)
    if model.d_k != model.d_v:
        reasons.append(f"model.d_v = {model.d_v}, must be model.d_k = {model.d_k}")
    if model.tie_embeddings not in ("all", "inputs"):
        reasons.append(f"model.tie_embeddings = {model.tie_embeddings!r}, must be 'all' or 'inputs'")
    if model.gated and model.activation == "gelu_exact":
        reasons.append("model.activation = 'gelu_exact', which transformers does not have with gates")
    compatibility.refuse_export(model_type, reasons)


def to_t5(
    model_type: str, config: TransformerConfig, params: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[int]]:
    """Returns the values of config.json, the weights under their names in transformers, and tfmr's id of each token.

    Raises:
      InputError: listing every reason why a T5 or mT5 cannot represent the model.
    """
    check_t5(model_type, config)
    ids, weights = exported_order(config), flatten(params)
    exported: dict[str, np.ndarray] = {}
    for name, described in described_weights(config, _t5_weight).items():
        weight = weights[name][ids] if name in _TABLES else weights[name]
        exported[described.name] = replace(described, shape=weight.shape).export(weight)
    if config.tie_embeddings == "all" and not config.scale_output:
        exported[_OUTPUT] = exported[_SHARED]  # which versions before 5 then do not tie
    return _config_json(model_type, config, ids), exported, ids


def exported_order(config: TransformerConfig) -> list[int]:
    """Returns tfmr's id of each token of an exported model. BOS is left out if it is replaced by another token."""
    first = [PAD_ID, EOS_ID, UNK_ID] + ([BOS_ID] if config.start_token == BOS_ID else [])
    return first + list(range(EOS_ID + 1, config.vocab_size))


def _config_json(model_type: str, config: TransformerConfig, ids: Sequence[int]) -> dict[str, Any]:
    activation = ACTIVATIONS[config.activation]
    gate = "gelu" if activation == "gelu_new" else activation  # of gates, transformers takes gelu for gelu_new
    return {
        "architectures": [MODEL_CLASSES[model_type]],
        "model_type": model_type,
        "is_encoder_decoder": True,
        "vocab_size": len(ids),
        "d_model": config.d_model,
        "d_kv": config.d_k,
        "d_ff": config.d_ff,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "feed_forward_proj": f"gated-{gate}" if config.gated else activation,
        "layer_norm_epsilon": config.norm_epsilon,
        "dropout_rate": config.dropout_rate,
        # Whether transformers scales the output: versions before 5 read the first, and 5 either of them.
        "tie_word_embeddings": config.scale_output,
        "scale_decoder_outputs": config.scale_output,
        "pad_token_id": ids.index(PAD_ID),
        "eos_token_id": ids.index(EOS_ID),
        "decoder_start_token_id": ids.index(config.start_token),
    }


def from_t5(
    values: Mapping[str, Any], weights: Mapping[str, np.ndarray], unk_id: int, name: str = "this model"
) -> tuple[TransformerConfig, dict[str, Any], list[int | None]]:
    """Returns the configuration and parameters of a T5 model, and T5's id of each of tfmr's tokens.

    The id of BOS is None: it stands for the token that starts a target.

    Args:
      values: the content of its config.json.
      weights: its weights under their names in transformers.
      unk_id: T5's id of the unknown token, from its vocabulary.
      name: how error messages refer to the model.

    Raises:
      InputError: listing every reason why tfmr does not have such a model, or every weight that does not fit.
    """
    compatibility.refuse(f"{name}: cannot be converted to a tfmr model", _unsupported(values))
    own = {key: x for key, x in weights.items() if key not in _UNUSED}
    table = _shared_table(own, name)
    tied = _OUTPUT not in own or np.array_equal(own[_OUTPUT], table)
    if tied:
        own.pop(_OUTPUT, None)
    ids = _token_order(values, unk_id, name)
    config = _config(values, ids, tied)
    theirs = {key: x for key, x in own.items() if key not in _COPIES} | {_SHARED: table}
    described = described_weights(replace(config, vocab_size=values["vocab_size"]), _t5_weight)
    check_weights(theirs, {x.name: x.their_shape for x in described.values()}, name)
    found = {key: x.read(np.asarray(theirs[x.name], np.float32)) for key, x in described.items()}
    found |= {key: _rows(found[key], ids) for key in _TABLES if key in found}
    return config, unflatten(found, config, name), ids


def _unsupported(values: Mapping[str, Any]) -> list[str]:
    """Returns a reason for each value of T5's config.json that tfmr does not support."""
    sizes = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
    optional = ("num_decoder_layers", "relative_attention_num_buckets", "relative_attention_max_distance")
    tokens = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
    given = [key for key in optional if values.get(key) is not None]
    reasons = compatibility.wrong_counts(values, [*sizes, *given])
    reasons += compatibility.wrong_counts(values, [key for key in tokens if values.get(key) is not None], least=0)
    reasons += compatibility.wrong_choice(values, "model_type", MODEL_CLASSES)
    if _feed_forward(values) is None:
        choices = [f"{gate}{name}" for gate in ("", "gated-") for name in OUR_ACTIVATIONS]
        reasons.append(f"feed_forward_proj = {values['feed_forward_proj']!r}, must be one of {', '.join(choices)}")
    epsilon = values.get("layer_norm_epsilon", 1e-6)
    if type(epsilon) not in (int, float) or not epsilon > 0:
        reasons.append(f"layer_norm_epsilon = {epsilon!r}, must be a number greater than 0")
    return reasons


def _feed_forward(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the options of the feed-forward networks; None if tfmr does not have such networks."""
    default = "relu" if values.get("model_type") == "t5" else "gated-gelu"
    projection = values.get("feed_forward_proj", default)
    if projection == "gated-gelu":  # whose activation is the approximation
        return dict(gated=True, activation="gelu")
    name = str(projection).removeprefix("gated-")
    if name not in OUR_ACTIVATIONS:
        return None
    return dict(gated=name != projection, activation=OUR_ACTIVATIONS[name])


def _config(values: Mapping[str, Any], ids: Sequence[int | None], tied: bool) -> TransformerConfig:
    dropout = values.get("dropout_rate", 0.1)
    positions: Any = _POSITIONS[values["model_type"]]
    scaled = values.get("scale_decoder_outputs", values.get("tie_word_embeddings") is not False)
    return TransformerConfig(
        **_OPTIONS,
        positions=positions,
        **(_feed_forward(values) or {}),
        vocab_size=len(ids),
        num_encoder_layers=values["num_layers"],
        num_decoder_layers=values.get("num_decoder_layers") or values["num_layers"],
        d_model=values["d_model"],
        d_ff=values["d_ff"],
        num_heads=values["num_heads"],
        d_k=values["d_kv"],
        d_v=values["d_kv"],
        dropout_rate=dropout,
        attention_dropout_rate=dropout,
        norm_epsilon=values.get("layer_norm_epsilon", 1e-6),
        relative_buckets=values.get("relative_attention_num_buckets") or 32,
        relative_max_distance=values.get("relative_attention_max_distance") or 128,
        tie_embeddings="all" if tied else "inputs",
        scale_output=bool(scaled) and values["model_type"] != "mt5",  # whose outputs are never scaled
        start_token=ids.index(_special(values)["decoder_start_token_id"]),
    )


def _special(values: Mapping[str, Any]) -> dict[str, int]:
    """Returns T5's ids of padding, EOS and the token that starts a target."""
    given = {key: value for key, value in values.items() if value is not None}
    pad = given.get("pad_token_id", 0)
    return {
        "pad_token_id": pad,
        "eos_token_id": given.get("eos_token_id", 1),
        "decoder_start_token_id": given.get("decoder_start_token_id", pad),
    }


def _token_order(values: Mapping[str, Any], unk_id: int, name: str) -> list[int | None]:
    """Returns T5's id of each of tfmr's tokens: the special tokens, then all others in their order."""
    special, vocab_size = _special(values), values["vocab_size"]
    order = {PAD_ID: special["pad_token_id"], UNK_ID: unk_id, EOS_ID: special["eos_token_id"]}
    if max(*order.values(), special["decoder_start_token_id"]) >= vocab_size or len(set(order.values())) < len(order):
        raise InputError(
            f"{name}: ids of padding, EOS, start of a target and unknown = {[*special.values(), unk_id]}: all must be "
            f"below vocab_size = {vocab_size}, and those of padding, unknown and EOS must differ"
        )
    first = [order.get(token) for token in range(4)]
    return first + [token for token in range(vocab_size) if token not in first]


def _rows(table: np.ndarray, ids: Sequence[int | None]) -> np.ndarray:
    """Returns a table's rows in tfmr's order. BOS has a row of zeros."""
    rows = table[[0 if number is None else number for number in ids]]
    rows[[number is None for number in ids]] = 0
    return rows


_SHARED, _OUTPUT = "shared.weight", "lm_head.weight"
_COPIES = (_SHARED, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
"""The names of the table that source and target share. A file has it under at least one of them."""
_UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)
"""A table in older files, which transformers does not read."""
_TABLES = ("embedding.embedding", "output_embedding.embedding")
"""tfmr's tables of tokens."""


def _shared_table(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    found = [key for key in _COPIES if key in weights]
    if not found:
        raise InputError(f"{name}: the weights do not fit this model: {_SHARED} is missing")
    differing = [key for key in found[1:] if not np.array_equal(weights[key], weights[found[0]])]
    compatibility.refuse(name, [f"{key} differs from {found[0]}; T5 has one table for both" for key in differing])
    return weights[found[0]]


_ATTENTION = {"query": ("q", 1), "key": ("k", 1), "value": ("v", 1), "output": ("o", 2)}
"""For each matrix of attention: its name in T5, and its number of input axes in tfmr."""


def _t5_weight(name: str, config: TransformerConfig) -> Weight:
    """Describes the weight with a flat name, apart from its shape."""
    outside_layers = {
        "embedding.embedding": _SHARED,
        "output_embedding.embedding": _OUTPUT,
        "source_positions.embedding": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "target_positions.embedding": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.norm.gamma": "encoder.final_layer_norm.weight",
        "decoder.norm.gamma": "decoder.final_layer_norm.weight",
    }
    if name in outside_layers:
        return Weight(outside_layers[name], -1, 0)
    stack, layer, rest = name.split(".", 2)
    block, _, leaf = rest.partition(".")
    numbers = {
        "self_attention": 0,
        "positions": 0,
        "cross_attention": 1,
        "feed_forward": 1 if stack == "encoder" else 2,
    }
    prefix = f"{stack}.block.{layer.removeprefix('layer_')}.layer.{numbers[block.removesuffix('_norm')]}"
    if block.endswith("_norm"):
        return Weight(f"{prefix}.layer_norm.weight", -1, 0)
    if block == "positions":
        return Weight(f"{prefix}.SelfAttention.relative_attention_bias.weight", -1, 0)
    if block == "feed_forward":
        up = "wi_1" if config.gated else "wi"
        theirs = {"up.kernel": up, "gate.kernel": "wi_0", "down.kernel": "wo"}[leaf]
        return Weight(f"{prefix}.DenseReluDense.{theirs}.weight", 0, 1)
    owner = "SelfAttention" if block == "self_attention" else "EncDecAttention"
    theirs, num_inputs = _ATTENTION[leaf]
    return Weight(f"{prefix}.{owner}.{theirs}.weight", 0, num_inputs)
