"""Run directories with random weights that are large enough for the output to depend on the input."""

import dataclasses
from pathlib import Path

import numpy as np
from reference import random_parameters
from small_transformers import SENTENCES

from tfmr.config import CausalLMConfig, Config, DecodingConfig, PairsConfig, RunningTextConfig, TransformerConfig
from tfmr.data.corpora.grammar import sentence_pairs
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.models import CausalLM, Transformer
from tfmr.runs.checkpoints import save_params
from tfmr.runs.run_directory import RunDirectory

LINES = [source for source, _ in sentence_pairs("test", 200)]
SMALL = TransformerConfig(
    num_encoder_layers=2, num_decoder_layers=2, d_model=32, d_ff=48, num_heads=4, d_k=8, d_v=8, dropout_rate=0.0
)
DECODING = DecodingConfig(beam_size=4, length_penalty="power", alpha=0.6, extra_length=20)


def make_run(folder: Path, *, kind: str = "bpe", **changes) -> str:
    """Creates a run of the model SMALL with changes, and returns its path."""
    tokenizer = Tokenizer.train(kind, LINES, 400)
    config = dataclasses.replace(SMALL, vocab_size=tokenizer.vocab_size + 3, **{"output_bias": True, **changes})
    params = random_parameters(Transformer(config), *SENTENCES)
    # Translations end after about a dozen tokens, so that no limit plays a part.
    if config.output_bias:
        params["output_bias"] = 2 * params["output_bias"].at[EOS_ID].set(2.0)
    for name in [name for name in params if name.endswith("embedding")]:
        params[name]["embedding"] = 2 * params[name]["embedding"]
    run = RunDirectory(folder)
    run.write_tokenizer(tokenizer)
    save_params(run.best, 0, jax_free(params))
    data = PairsConfig(corpus="text", max_length=min(256, config.max_length))
    run.write_config(Config(model=config, data=data, decoding=DECODING))
    return str(folder)


def make_language_model(folder: Path, *, kind: str = "bpe", documents: bool = True, **changes) -> str:
    """Creates a run of a small language model with random weights, and returns its path."""
    tokenizer = Tokenizer.train(kind, LINES, 330, running_text=True)
    shape = dict(num_layers=2, d_model=32, d_ff=48, num_heads=4, d_k=8, d_v=8, max_length=96, dropout_rate=0.0)
    config = CausalLMConfig(vocab_size=tokenizer.vocab_size, **{**shape, **changes})
    params = random_parameters(CausalLM(config), SENTENCES[0])
    # Positions as large as tokens and a last norm with both signs; otherwise a token would be followed by itself.
    if config.positions == "learned":
        params["positions"]["embedding"] = 3 * params["positions"]["embedding"]
    if config.norm == "pre":
        params["decoder"]["norm"]["gamma"] = 6 * (params["decoder"]["norm"]["gamma"] - 1)
    run = RunDirectory(folder)
    run.write_tokenizer(tokenizer)
    save_params(run.best, 0, jax_free(params))
    data = RunningTextConfig(document_separator="\n" if documents else "", max_length=config.max_length)
    run.write_config(Config(model=config, data=data))
    return str(folder)


def jax_free(params):
    """Returns the tree with NumPy arrays."""
    return {name: jax_free(x) if isinstance(x, dict) else np.asarray(x) for name, x in params.items()}
