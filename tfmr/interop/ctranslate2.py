"""CTranslate2 models, built from its own description of a Transformer. Unlike Marian, it supports pre-norm models.

Sinusoids are written as a table. The target starts with tfmr's BOS token, and LayerNorm keeps the model's epsilon.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tfmr.config import Config, ModelConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.interop.compatibility import refuse_export, require_kind, wrong_fields, wrong_layers
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
    specs: Any = importlib.import_module("ctranslate2.specs")

    spec = specs.TransformerSpec.from_config(
        (config.num_encoder_layers, config.num_decoder_layers),
        config.num_heads,
        pre_norm=config.norm == "pre",
        activation=specs.common_spec.Activation[_ACTIVATIONS[config.activation]],
    )
    _fill(spec, config, flatten(params))
    tokens = vocabulary(tokenizer_json, config.vocab_size)
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token = spec.config.decoder_start_token = tokens[BOS_ID]
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = config.norm_epsilon
    spec.validate()
    spec.optimize()
    spec.save(os.fspath(folder))
    for name, data in own_files(tokenizer_json).items():
        (Path(folder) / name).write_bytes(data)


def check_ctranslate2(config: ModelConfig) -> None:
    """Raises InputError if ctranslate2 is not installed, or listing every reason why it cannot represent a model."""
    model: TransformerConfig = require_kind("ctranslate2", config)
    required = dict(scale_embeddings=True, embedding_norm=False, start_token=BOS_ID, decoder_recurrence="none")
    reasons = wrong_fields(model, **required) + wrong_layers(model)
    if model.positions not in ("sinusoidal", "tensor2tensor", "learned"):
        reasons.append(f"model.positions = {model.positions!r}, must be 'sinusoidal', 'tensor2tensor' or 'learned'")
    refuse_export("CTranslate2", reasons)
    try:
        importlib.import_module("ctranslate2")  # by name, because type checkers may not have it
    except ImportError as error:
        raise InputError(f"ctranslate2: not installed ({error}); pip install 'tfmr[interop]'") from None


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
    encode = SINUSOIDS.get(config.positions)
    sinusoids = None if encode is None else np.asarray(encode(jnp.arange(LONGEST), config.d_model))
    for stack, side in (("encoder", "source"), ("decoder", "target")):
        described = getattr(spec, stack)
        described.position_encodings.encodings = weights.get(f"{side}_positions.embedding", sinusoids)
        if config.norm == "pre":
            _fill_norm(described.layer_norm, weights, f"{stack}.norm")
        for i, layer in enumerate(described.layer):
            _fill_layer(layer, weights, f"{stack}.layer_{i}")


def _fill_layer(layer: Any, weights: dict[str, np.ndarray], name: str) -> None:
    own = f"{name}.self_attention"
    _fill_norm(layer.self_attention.layer_norm, weights, f"{own}_norm")
    _fill_linear(layer.self_attention.linear[0], weights, [f"{own}.{x}" for x in ("query", "key", "value")])
    _fill_linear(layer.self_attention.linear[1], weights, [f"{own}.output"], num_inputs=2)
    if hasattr(layer, "attention"):
        cross = f"{name}.cross_attention"
        _fill_norm(layer.attention.layer_norm, weights, f"{cross}_norm")
        _fill_linear(layer.attention.linear[0], weights, [f"{cross}.query"])
        _fill_linear(layer.attention.linear[1], weights, [f"{cross}.{x}" for x in ("key", "value")])
        _fill_linear(layer.attention.linear[2], weights, [f"{cross}.output"], num_inputs=2)
    _fill_norm(layer.ffn.layer_norm, weights, f"{name}.feed_forward_norm")
    for linear, part in ((layer.ffn.linear_0, "up"), (layer.ffn.linear_1, "down")):
        linear.weight = np.ascontiguousarray(weights[f"{name}.feed_forward.{part}.kernel"].T)
        linear.bias = weights[f"{name}.feed_forward.{part}.bias"]


def _fill_norm(norm: Any, weights: dict[str, np.ndarray], name: str) -> None:
    norm.gamma, norm.beta = weights[f"{name}.gamma"], weights[f"{name}.beta"]


def _fill_linear(linear: Any, weights: dict[str, np.ndarray], names: list[str], num_inputs: int = 1) -> None:
    """Stacks tfmr's matrices, whose first `num_inputs` axes are inputs, into one of shape [outputs, inputs]."""
    matrices = [weights[name].reshape(int(np.prod(weights[name].shape[:num_inputs])), -1).T for name in names]
    linear.weight = np.concatenate(matrices)
    if f"{names[0]}_bias" in weights:
        linear.bias = np.concatenate([weights[f"{name}_bias"].reshape(-1) for name in names])


def _write_run(folder: Path, config: Config, params: Any, tokenizer: Tokenizer) -> None:
    write_ctranslate2(folder, require_kind("ctranslate2", config.model), params, tokenizer.to_json())


register_format("ctranslate2", "CTranslate2", check=check_ctranslate2, write=_write_run)
