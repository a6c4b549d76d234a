"""A model as the page shows it: its shape, where its parameters are, and how it learned."""

import dataclasses
from typing import Any, TypedDict

import numpy as np

from tfmr.analysis.learning_curves import PANELS, Curve, read_metrics
from tfmr.config import ModelConfig
from tfmr.errors import InputError
from tfmr.models.account import attention_share, parameter_table, weight_breakdown
from tfmr.runs.run_directory import RunDirectory
from tfmr.serving.service import ServedGenerator, ServedTranslator

MOST_POINTS = 1000
"""Longer curves are drawn with points at regular distances."""
EXAMPLES = 6
"""The number of texts to try."""


class Description(TypedDict):
    """What the page needs to know of a model at its start."""

    name: str
    kind: str
    """translation or language_model."""
    source: str
    """The language of the sources; empty if unknown or none."""
    target: str
    languages: list[str]
    """The languages to choose from; empty if there is no choice."""
    shape: dict[str, Any]
    """The fields of the model's configuration."""
    decoding: dict[str, Any]
    """The beam size and the length penalty of the run; empty for a language model."""
    examples: list[str]
    begins_empty: bool
    """Whether a language model can begin a text with nothing before it."""


class Parameters(TypedDict):
    """Where the parameters of a model are."""

    total: int
    parts: dict[str, int]
    """The number of parameters of each part, such as `encoder/self_attention/query`, summed over layers."""
    uses: dict[str, int]
    """The sizes of the matrices by their use; a tied output embedding is counted again as the unembedding."""
    attention_share: float
    """The share of the attention projections in `uses`."""


class Line(TypedDict):
    """A curve."""

    steps: list[int]
    values: list[float]


class CurvePanel(TypedDict):
    """The curves of one quantity."""

    title: str
    logarithmic: bool
    training: Line | None
    validation: Line | None


class LearningCurves(TypedDict):
    """What a run logged. There are no panels if it logged nothing, as an imported one."""

    panels: list[CurvePanel]


def describe_translator(served: ServedTranslator) -> Description:
    """Returns what the page needs to know of a translation model."""
    translator, tags = served.model, served.model.tokenizer.tags
    return {
        "name": served.name,
        "kind": "translation",
        "source": tags.source or "".join(served.source[:1]),
        "target": tags.target or "".join(served.target[:1]),
        "languages": sorted(tags.languages),
        "shape": dataclasses.asdict(translator.model.config),
        "decoding": {"beam_size": translator.config.beam_size, "alpha": translator.config.alpha},
        "examples": _sentences(served.run) if served.run else [],
        "begins_empty": False,
    }


def describe_generator(served: ServedGenerator) -> Description:
    """Returns what the page needs to know of a language model."""
    return {
        "name": served.name,
        "kind": "language_model",
        "source": "",
        "target": "",
        "languages": [],
        "shape": dataclasses.asdict(served.model.model.config),
        "decoding": {},
        "examples": _beginnings(served.run) if served.run else [],
        "begins_empty": served.model.has_documents,
    }


def _sentences(run: RunDirectory) -> list[str]:
    """Returns held-out sentences of different lengths, none of them long."""
    for split in ("test", "validation"):
        if run.has_split(split):
            lines = [line for line in run.read_text_split(split)[0] if 0 < len(line) <= 80]
            longest_first = sorted(lines[: 4 * EXAMPLES], key=len, reverse=True)
            return sorted(longest_first[:: max(1, len(longest_first) // EXAMPLES)][:EXAMPLES], key=len)
    return []


def _beginnings(run: RunDirectory) -> list[str]:
    """Returns the beginnings of places in the validation text, each a few words."""
    if not run.has_split("validation"):
        return []
    tokens = run.read_token_split("validation").tokens
    starts = np.linspace(0, max(len(tokens) - 200, 0), EXAMPLES).astype(int)
    texts = [run.tokenizer.decode(tokens[start : start + 200]) for start in starts]
    words = (text.replace("\ufffd", "").split()[1:6] for text in texts)
    return list(dict.fromkeys(" ".join(each) for each in words if each))


def parameter_parts(config: ModelConfig) -> Parameters:
    """Returns where the parameters of a model are."""
    parts = parameter_table(config)
    return {
        "total": sum(parts.values()),
        "parts": parts,
        "uses": weight_breakdown(config),
        "attention_share": attention_share(config),
    }


def learning_curves(run: RunDirectory) -> LearningCurves:
    """Returns the curves that a run logged, as `tfmr plot` draws them."""
    try:
        curves = read_metrics(str(run.metrics_file))
    except InputError:  # an imported run has none
        return {"panels": []}
    found: list[CurvePanel] = []
    for panel in PANELS:
        training = next((curves[name] for name in panel.training if name in curves), None)
        validation = curves.get(panel.validation)
        if training is not None or validation is not None:
            found.append(
                {
                    "title": panel.title,
                    "logarithmic": panel.scale == "log",
                    "training": None if training is None else _line(training),
                    "validation": None if validation is None else _line(validation),
                }
            )
    return {"panels": found}


def _line(curve: Curve) -> Line:
    every = -(-len(curve.steps) // MOST_POINTS)
    return {"steps": curve.steps[::every].tolist(), "values": curve.values[::every].tolist()}
