"""A run directory with random weights that are large enough for translations to depend on their lines."""

import dataclasses
from pathlib import Path

import numpy as np
from reference import random_parameters
from small_transformers import SENTENCES

from tfmr.config import Config, DataConfig, DecodingConfig, TransformerConfig
from tfmr.data.corpora.grammar import sentence_pairs
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.models import Transformer
from tfmr.run_directory import RunDirectory
from tfmr.training.checkpoint import save_params

LINES = [source for source, _ in sentence_pairs("test", 200)]
SMALL = TransformerConfig(
    num_encoder_layers=2, num_decoder_layers=2, d_model=32, d_ff=48, num_heads=4, d_k=8, d_v=8, dropout_rate=0.0
)
DECODING = DecodingConfig(beam_size=4, length_penalty="power", alpha=0.6, extra_length=20)


def make_run(folder: Path, **changes) -> str:
    """Makes a run of a model whose config is SMALL but for the changes; returns its path."""
    tokenizer = Tokenizer.train("bpe", LINES, 400)
    config = dataclasses.replace(SMALL, vocab_size=tokenizer.vocab_size + 3, output_bias=True, **changes)
    params = random_parameters(Transformer(config), *SENTENCES)
    # Ends of about a dozen tokens, so that no limit plays a part.
    params["output_bias"] = 2 * params["output_bias"].at[EOS_ID].set(2.0)
    for name in [name for name in params if name.endswith("embedding")]:
        params[name]["embedding"] = 2 * params[name]["embedding"]
    run = RunDirectory.at(folder)
    save_params(run.best, 0, jax_free(params))
    run.write_tokenizer(tokenizer)
    data = DataConfig(corpus="text", max_length=min(256, config.max_length))
    run.write_config(Config(model=config, data=data, decoding=DECODING))
    return str(folder)


def jax_free(params):
    """Returns the tree with NumPy arrays."""
    return {name: jax_free(x) if isinstance(x, dict) else np.asarray(x) for name, x in params.items()}
