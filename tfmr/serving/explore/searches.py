"""Greedy search, beam search and samples of the same line side by side, and the tree of the beam."""

import dataclasses
from collections.abc import Sequence
from typing import TypedDict

from tfmr.analysis.beam_pictures import tree_rows
from tfmr.config import SamplingConfig
from tfmr.errors import InputError
from tfmr.search import BeamTree
from tfmr.serving.explore.sentences import encode_line, searching
from tfmr.serving.explore.tokens import LOWEST, Candidate, Token, candidates_of, tokens_of
from tfmr.translation import Translator

BEAM_SIZES = (1, 2, 3, 4, 6, 8)
"""The beams that can be chosen. A program is compiled for each, so they are few."""
MOST_SAMPLES = 16


class Output(TypedDict):
    """A translation that a search returned."""

    text: str
    log_prob: float
    score: float
    """The log-probability divided by the length penalty."""
    tokens: list[Candidate]


class Node(TypedDict):
    """A hypothesis of the beam; see `tfmr.search.BeamNode`."""

    parent: int
    depth: int
    token: Token
    log_prob: float
    score: float | None
    row: int
    """Where to draw it, counted from the top."""


class Tree(TypedDict):
    """All hypotheses of the beam search, in ascending order of their number of tokens."""

    nodes: list[Node]
    outputs: list[int]
    """Indices of the nodes of the hypotheses that the search returned, best first."""


class Comparison(TypedDict):
    """What each search finds for the same line."""

    greedy: list[Output]
    beam: list[Output]
    samples: list[Output]
    tree: Tree


def compare_searches(
    translator: Translator,
    line: str,
    *,
    beam_size: int = 4,
    alpha: float = 0.6,
    temperature: float = 1.0,
    top_p: float = 1.0,
    samples: int = 4,
    seed: int = 0,
) -> Comparison:
    """Returns the outputs of greedy search, of beam search and of sampling.

    Args:
      translator: the translator. Its other settings hold for each search.
      line: the source.
      beam_size, alpha: of the beam search.
      temperature, top_p, seed: of the samples; see `SamplingConfig`.
      samples: their number.

    Raises:
      InputError: if the line is blank or too long, or a setting has no sense.
    """
    if beam_size not in BEAM_SIZES:
        raise InputError(f"beam_size = {beam_size}: must be one of {', '.join(map(str, BEAM_SIZES))}")
    if not 1 <= samples <= MOST_SAMPLES:
        raise InputError(f"samples = {samples}: must be from 1 to {MOST_SAMPLES}")
    if temperature <= 0:
        raise InputError(f"temperature = {temperature}: must be greater than 0")
    translator = translator.with_glossary(None)  # these are the model's own searches
    source, line = encode_line(translator, line), line.strip()
    beam = searching(translator, beam_size=beam_size, alpha=alpha)
    sampling = SamplingConfig(temperature=temperature, top_p=top_p, seed=seed)
    # Sampling cannot follow these rules.
    rules = dataclasses.replace(translator.config, coverage_penalty=0.0, diversity=0.0, required=())
    sampler = translator.with_config(dataclasses.replace(rules, sampling=sampling))
    [best], [drawn] = searching(translator, beam_size=1).n_best([line], 1), sampler.n_best([line], samples)
    tree = beam.beam_tree(line, beam_size)
    return {
        "greedy": _outputs(beam, source, [hypothesis.tokens for hypothesis in best]),
        "beam": _outputs(beam, source, [tree.tokens(index) for index in tree.outputs]),
        "samples": _outputs(beam, source, [hypothesis.tokens for hypothesis in drawn]),
        "tree": _tree(translator, tree),
    }


def _outputs(translator: Translator, source: list[int], targets: Sequence[Sequence[int]]) -> list[Output]:
    """Returns targets with the probability of each token and of the whole."""
    tokenizer = translator.tokenizer
    scores = translator.score([source] * len(targets), targets)
    return [
        {
            "text": tokenizer.target_texts([score.tokens])[0],
            "log_prob": score.log_prob,
            "score": score.score,
            "tokens": candidates_of(tokenizer, score.tokens, score.token_log_probs),
        }
        for score in scores
    ]


def _tree(translator: Translator, tree: BeamTree) -> Tree:
    best = tree.path(tree.outputs[0]) if tree.outputs else []
    rows = tree_rows(tree.nodes, best) if tree.nodes else []
    tokens = tokens_of(translator.tokenizer, [node.token for node in tree.nodes])
    nodes: list[Node] = [
        {
            "parent": node.parent,
            "depth": node.depth,
            "token": token,
            "log_prob": max(node.log_prob, LOWEST),
            "score": node.score,
            "row": row,
        }
        for node, token, row in zip(tree.nodes, tokens, rows, strict=True)
    ]
    return {"nodes": nodes, "outputs": list(tree.outputs)}
