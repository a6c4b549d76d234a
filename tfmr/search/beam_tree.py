"""What a beam search did, as a tree: every hypothesis that it held or ended, behind the one it went on from."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tfmr.data.tokenizer import EOS_ID
from tfmr.search.beam import BeamSteps


class BeamNode(NamedTuple):
    """A hypothesis: its newest token, and which hypothesis it went on from."""

    parent: int
    """Its index among the nodes; -1: the empty hypothesis, of which there is no node."""
    depth: int
    """Tokens of the hypothesis, this one included."""
    token: int
    text: str
    """Of the token alone."""
    log_prob: float
    """Of the whole hypothesis, in nats."""
    score: float | None = None
    """Of a hypothesis that has ended: its log-probability divided by the length penalty. None: it stood in the beam."""


class BeamTree(NamedTuple):
    """All hypotheses of a search, those with fewer tokens first."""

    nodes: tuple[BeamNode, ...]
    outputs: tuple[int, ...]
    """The nodes at which the hypotheses end that the search returned, best first."""

    def path(self, node: int) -> list[int]:
        """Returns the nodes from the first token to this one."""
        indices = []
        while node >= 0:
            indices.append(node)
            node = self.nodes[node].parent
        return indices[::-1]

    def tokens(self, node: int) -> tuple[int, ...]:
        """Returns the tokens of a node's hypothesis."""
        return tuple(self.nodes[index].token for index in self.path(node))


def make_beam_tree(
    steps: BeamSteps,
    tokens: Int[np.ndarray, "hypotheses length"],
    lengths: Int[np.ndarray, " hypotheses"],
    texts: list[str],
) -> BeamTree:
    """Returns the tree of one row of a search.

    Args:
      steps: what the search took of the row; NumPy arrays of [steps, beam].
      tokens: what the search returned for the row.
      lengths: of these, in tokens; 0: no hypothesis.
      texts: of every token.
    """
    nodes: list[BeamNode] = []
    beam = [-1]  # the node at each index of the beam
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
