"""Translators of a few letters with random parameters, and what they say in float64."""

import functools

import jax
import numpy as np
import reference
from reference import double, random_parameters
from scipy.special import log_softmax

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, Tokenizer
from tfmr.models import Transformer
from tfmr.translation import Translator

LETTERS = "abcdefghij"
BEAM = DecodingConfig()


def make_translator(decoding: DecodingConfig = BEAM, letters: str = LETTERS, seed: int = 0, **changes) -> Translator:
    """Returns a translator of letters; `changes` are of the model's shape."""
    tokenizer = tokenizer_of(letters)
    shape = dict(num_encoder_layers=1, num_decoder_layers=2, d_model=16, d_ff=24, num_heads=2, d_k=8, d_v=8)
    model = Transformer(TransformerConfig(**{**shape, "vocab_size": tokenizer.vocab_size, **changes}))
    return Translator(model, jax.tree.map(lambda x: x, params_of(model, seed)), tokenizer, decoding)


@functools.cache
def tokenizer_of(letters: str) -> Tokenizer:
    return Tokenizer.train("characters", [letters], 40)


@functools.cache
def params_of(model: Transformer, seed: int) -> dict:
    return random_parameters(model, seed=seed, **model.example_inputs())


def true_log_probs(translator: Translator, source: list[int], target: list[int]) -> np.ndarray:
    """Returns the log-probability of each token of a target by the paper's formulas, of an ensemble the mean's."""
    probabilities = []
    for model, params in translator.members:
        logits = reference.transformer(double(params), model.config, np.array(source), np.array([BOS_ID, *target[:-1]]))
        probabilities.append(np.exp(log_softmax(logits, axis=1))[np.arange(len(target)), target])
    return np.log(np.mean(probabilities, axis=0))
