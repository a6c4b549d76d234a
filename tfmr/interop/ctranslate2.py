"""CTranslate2 models, built from its own description of a Transformer, which has almost all of tfmr's options.

Sinusoids are written as a table. The target starts with the model's start token, and norms keep the model's epsilon.
"""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tfmr.config import Config, ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop.compatibility import refuse_export, require_kind, wrong_fields
from tfmr.interop.folders import own_files, register_format, vocabulary
from tfmr.interop.marian_model import NEVER
from tfmr.interop.weights import flatten
from tfmr.nn.embedding import SINUSOIDS

LONGEST = 2048
"""Number of sinusoids written, which limits the length of source and target in tokens."""

_ACTIVATIONS = {"relu": "RELU", "gelu": "GELUTanh", "gelu_exact": "GELU", "swish": "SWISH"}


def write_ctranslate2(folder: str | os.PathLike, config: TransformerConfig, params: Any, tokenizer_json: str) -> None:
    """Writes a model in float32 to an existing folder, for `ctranslate2.Translator`.

    Args:
      folder: the folder.
      config: the model's configuration.
      params: its parameters.
      tokenizer_json: the text of the run's tokenizer.json. Token ids do not change.

    Raises:
      InputError: if ctranslate2 is not installed or cannot represent the model.
    """
    check_ctranslate2(config)
    spec = _described(importlib.import_module("ctranslate2.specs"), config)
    _fill(spec, config, flatten(params))
    tokens = vocabulary(tokenizer_json, config.vocab_size)
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token = tokens[BOS_ID]
    spec.config.decoder_start_token = tokens[config.start_token]
    # A tokenizer with tags, such as languages, says itself where EOS stands.
    spec.config.add_source_eos = "tags" not in json.loads(tokenizer_json)
    spec.config.layer_norm_epsilon = config.norm_epsilon
    spec.validate()
    spec.optimize()
    spec.save(os.fspath(folder))
    for name, data in own_files(tokenizer_json).items():
        (Path(folder) / name).write_bytes(data)


def check_ctranslate2(config: ModelConfig) -> None:
    """Raises InputError if ctranslate2 is not installed, or listing every reason why it cannot represent a model."""
    model: TransformerConfig = require_kind("ctranslate2", config)
    reasons = wrong_fields(model, decoder_recurrence="none")
    if model.d_k != model.d_v:
        reasons.append(f"model.d_v = {model.d_v}, must be model.d_k = {model.d_k}")
    refuse_export("CTranslate2", reasons)
    try:
        importlib.import_module("ctranslate2")  # by name, because type checkers may not have it
    except ImportError as error:
        raise InputError(f"ctranslate2: not installed ({error}); pip install 'tfmr[interop]'") from None


def _described(specs: Any, config: TransformerConfig) -> Any:
    """Returns CTranslate2's description of a model, without weights."""
    options = dict(
        num_heads=config.num_heads,
        pre_norm=config.norm == "pre",
        activation=specs.common_spec.Activation[_ACTIVATIONS[config.activation]],
        layernorm_embedding=config.embedding_norm,
        relative_attention_bias=config.positions == "relative",
        ffn_glu=config.gated,
        rms_norm=config.norm_type == "rms",
        head_dim=None if config.d_k * config.num_heads == config.d_model else config.d_k,
    )
    encoder = specs.transformer_spec.TransformerEncoderSpec(config.num_encoder_layers, **options)
    decoder = specs.transformer_spec.TransformerDecoderSpec(config.num_decoder_layers, **options)
    encoder.scale_embeddings = decoder.scale_embeddings = config.scale_embeddings
    if config.scale_output:
        decoder.scale_outputs = config.d_model**-0.5
    return specs.TransformerSpec(encoder, decoder)


def _fill(spec: Any, config: TransformerConfig, weights: dict[str, np.ndarray]) -> None:
    table = weights["embedding.embedding"]
    tables = {
        "encoder": weights.get("source_embedding.embedding", table),
        "decoder": table,
        "output": weights.get("output_embedding.embedding", table),
    }
    spec.encoder.embeddings[0].weight, spec.decoder.embeddings.weight = tables["encoder"], tables["decoder"]
    spec.decoder.projection.weight = tables["output"]
    bias = weights.get("output_bias", np.zeros(config.vocab_size, np.float32)).copy()
    bias[[PAD_ID, BOS_ID]] = NEVER  # tfmr never writes these tokens
    spec.decoder.projection.bias = bias
    for stack, side in (("encoder", "source"), ("decoder", "target")):
        described = getattr(spec, stack)
        _fill_positions(described, weights.get(f"{side}_positions.embedding"), config)
        if config.norm == "pre":
            _fill_norm(described.layer_norm, weights, f"{stack}.norm")
        if config.embedding_norm:
            _fill_norm(described.layernorm_embedding, weights, f"{side}_embedding_norm")
        for i, layer in enumerate(described.layer):
            _fill_layer(layer, config, weights, f"{stack}.layer_{i}")


def _fill_positions(stack: Any, table: np.ndarray | None, config: TransformerConfig) -> None:
    """Sets the position encodings of a stack; `table` is the learned or relative one."""
    if config.positions == "relative":
        for layer in stack.layer:
            layer.self_attention.relative_attention_bias = table
            layer.self_attention.relative_attention_max_distance = np.int32(config.relative_max_distance)
        return
    if config.positions in SINUSOIDS:
        table = np.asarray(SINUSOIDS[config.positions](jnp.arange(LONGEST), config.d_model))
    stack.position_encodings.encodings = table


def _fill_layer(layer: Any, config: TransformerConfig, weights: dict[str, np.ndarray], name: str) -> None:
    own, attentions = f"{name}.self_attention", [layer.self_attention]
    _fill_norm(layer.self_attention.layer_norm, weights, f"{own}_norm")
    _fill_linear(layer.self_attention.linear[0], weights, [f"{own}.{x}" for x in ("query", "key", "value")])
    _fill_linear(layer.self_attention.linear[1], weights, [f"{own}.output"], num_inputs=2)
    if hasattr(layer, "attention"):
        cross = f"{name}.cross_attention"
        attentions.append(layer.attention)
        _fill_norm(layer.attention.layer_norm, weights, f"{cross}_norm")
        _fill_linear(layer.attention.linear[0], weights, [f"{cross}.query"])
        _fill_linear(layer.attention.linear[1], weights, [f"{cross}.{x}" for x in ("key", "value")])
        _fill_linear(layer.attention.linear[2], weights, [f"{cross}.output"], num_inputs=2)
    for attention in attentions if not config.scale_scores else ():
        attention.queries_scale = 1.0
    _fill_norm(layer.ffn.layer_norm, weights, f"{name}.feed_forward_norm")
    # CTranslate2 calls the part with the activation linear_0.
    first = {"linear_0": "gate", "linear_0_noact": "up"} if config.gated else {"linear_0": "up"}
    for linear, part in {**first, "linear_1": "down"}.items():
        _fill_dense(getattr(layer.ffn, linear), weights, f"{name}.feed_forward.{part}")


def _fill_dense(linear: Any, weights: dict[str, np.ndarray], name: str) -> None:
    linear.weight = np.ascontiguousarray(weights[f"{name}.kernel"].T)
    if f"{name}.bias" in weights:
        linear.bias = weights[f"{name}.bias"]


def _fill_norm(norm: Any, weights: dict[str, np.ndarray], name: str) -> None:
    norm.gamma = weights[f"{name}.gamma"]
    if f"{name}.beta" in weights:
        norm.beta = weights[f"{name}.beta"]


def _fill_linear(linear: Any, weights: dict[str, np.ndarray], names: list[str], num_inputs: int = 1) -> None:
    """Stacks tfmr's matrices, whose first `num_inputs` axes are inputs, into one of shape [outputs, inputs]."""
    matrices = [weights[name].reshape(int(np.prod(weights[name].shape[:num_inputs])), -1).T for name in names]
    linear.weight = np.concatenate(matrices)
    if f"{names[0]}_bias" in weights:
        linear.bias = np.concatenate([weights[f"{name}_bias"].reshape(-1) for name in names])


def _write_run(folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    write_ctranslate2(folder, require_kind("ctranslate2", config.model), params, tokenizer.to_json())


register_format("ctranslate2", "CTranslate2", check=check_ctranslate2, write=_write_run)
