"""A server of two translators and a language model of random parameters, and clients for it."""

import dataclasses
import string
import threading
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import pytest
from reference import random_parameters
from small_translators import make_translator
from starlette.testclient import TestClient

from tfmr.config import CausalLMConfig, DecodingConfig, GenerationConfig, ServingConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.language_model import Generator
from tfmr.models import CausalLM
from tfmr.serving import ServedGenerator, ServedTranslator, Service, make_app
from tfmr.translation import Hypothesis, Translator

# As few programs as possible: all lines have the same padded width, and batches 1 or 4 rows.
DECODING = DecodingConfig(beam_size=2, batch_size=4, extra_length=6, max_source_length=16)


class Recording(Translator):
    """A translator that notes its batches, and waits before each until it may go on."""

    def __init__(self, translator: Translator, *, go_on: bool = False):
        self.__dict__ |= translator.__dict__
        self.go_on, self.batches = threading.Event(), []
        if go_on:
            self.go_on.set()

    def n_best(self, lines: list[str], *args: Any) -> list[list[Hypothesis]]:
        self.batches.append(list(lines))
        assert self.go_on.wait(20)
        return super().n_best(lines, *args)


@pytest.fixture(scope="session")
def translator() -> Translator:
    return make_translator(DECODING)


@pytest.fixture(scope="session")
def generator() -> Generator:
    return make_generator()


def make_generator() -> Generator:
    """Returns a language model of letters."""
    tokenizer = Tokenizer.train("characters", [string.ascii_lowercase + " \n"], 100)
    shape = dict(num_layers=1, d_model=16, d_ff=24, num_heads=2, d_k=8, d_v=8, max_length=48)
    config = CausalLMConfig(vocab_size=tokenizer.vocab_size, dropout_rate=0.0, attention_dropout_rate=0.0, **shape)
    model = CausalLM(config)
    return Generator(model, random_parameters(model, jnp.zeros((1, 4), jnp.int32)), tokenizer, GenerationConfig())


@pytest.fixture(scope="session")
def translators(translator: Translator) -> list[ServedTranslator]:
    # The second has the same parameters, so the same programs, but cannot write the letter a.
    without_a = Translator(
        translator.model, translator.params, translator.tokenizer, dataclasses.replace(DECODING, forbidden=("a",))
    )
    return [
        ServedTranslator("letters", translator, ("en",), ("de",)),
        ServedTranslator("no-a", without_a, ("fr",), ("de", "it")),
    ]


@pytest.fixture(scope="session")
def writer(generator: Generator) -> ServedGenerator:
    return ServedGenerator("writer", generator)


@pytest.fixture(scope="module")
def client(translators: list[ServedTranslator], writer: ServedGenerator) -> Iterator[TestClient]:
    settings = ServingConfig(max_characters=100, max_body=2000)
    with TestClient(make_app(Service(translators, [writer], settings))) as client:
        yield client
