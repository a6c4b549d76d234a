"""The tree of a beam search: every hypothesis in its beam or finished, as a child of the hypothesis it extends."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tfmr.data.tokenizer import EOS_ID
from tfmr.search.beam import BeamSteps


class BeamNode(NamedTuple):
    """A hypothesis, represented by its newest token and its parent."""

    parent: int
    """Index of the parent node. -1: the empty hypothesis, which has no node."""
    depth: int
    """Number of tokens of the hypothesis, including this one."""
    token: int
    text: str
    """Text of the token."""
    log_prob: float
    """Log-probability of the whole hypothesis in nats."""
    score: float | None = None
    """Score of a finished hypothesis: log-probability divided by the length penalty. None: unfinished."""


class BeamTree(NamedTuple):
    """All hypotheses of a search, in ascending order of their number of tokens."""

    nodes: tuple[BeamNode, ...]
    outputs: tuple[int, ...]
    """Indices of the nodes of the hypotheses that the search returned, best first."""

    def path(self, node: int) -> list[int]:
        """Returns the indices of the nodes from the first token to this node."""
        indices = []
        while node >= 0:
            indices.append(node)
            node = self.nodes[node].parent
        return indices[::-1]

    def tokens(self, node: int) -> tuple[int, ...]:
        """Returns the tokens of the hypothesis of a node."""
        return tuple(self.nodes[index].token for index in self.path(node))


def make_beam_tree(
    steps: BeamSteps,
    tokens: Int[np.ndarray, "hypotheses length"],
    lengths: Int[np.ndarray, " hypotheses"],
    texts: list[str],
) -> BeamTree:
    """Returns the tree of one row of a search.

    Args:
      steps: what the search selected for the row, as NumPy arrays of shape [steps, beam].
      tokens: the hypotheses that the search returned for the row.
      lengths: the number of tokens of each; 0: no hypothesis.
      texts: a label for each token of the vocabulary.
    """
    nodes: list[BeamNode] = []
    beam = [-1]  # the node in each slot of the beam
    for depth, taken in enumerate(zip(*(array.tolist() for array in steps), strict=True), start=1):
        step = BeamSteps(*taken)
        for parent, log_prob, score in zip(step.ended_parents, step.ended_log_probs, step.ended_scores, strict=True):
            if score > -math.inf:
                nodes.append(BeamNode(beam[parent], depth, EOS_ID, texts[EOS_ID], log_prob, score))
        before, beam = beam, []
        for parent, token, log_prob in zip(step.parents, step.tokens, step.log_probs, strict=True):
            beam.append(len(nodes) if log_prob > -math.inf else -1)
            if log_prob > -math.inf:
                nodes.append(BeamNode(before[parent], depth, token, texts[token], log_prob))
    tree = BeamTree(tuple(nodes), ())
    ended = {tree.tokens(index): index for index, node in enumerate(nodes) if node.score is not None}
    returned = [tuple(row[:length].tolist()) for row, length in zip(tokens, lengths, strict=True) if length > 0]
    return tree._replace(outputs=tuple(ended[hypothesis] for hypothesis in returned))
