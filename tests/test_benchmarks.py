"""The benchmarks call the library as it is now."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
from small_transformers import BASE, params_of

from tfmr.data.tokenizer import EOS_ID

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def test_the_decoder_writes_outputs_of_the_length_that_it_is_to_write():
    spec = importlib.util.spec_from_file_location("accelerator", BENCHMARKS / "accelerator.py")
    accelerator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(accelerator)
    source = np.array([[4, 5, 6, EOS_ID], [6, 5, 5, EOS_ID]], np.int32)
    decode = accelerator.our_decoder(BASE, params_of(BASE), source, 5)
    for beam in (1, 2):
        tokens = jax.device_get(decode(beam))
        assert tokens.shape == (2, 1, 5)
        assert (tokens[..., -1] == EOS_ID).all()
        assert (tokens[..., :-1] != EOS_ID).all()
