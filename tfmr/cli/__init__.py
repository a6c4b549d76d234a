"""The commands: `tfmr COMMAND ...`, and what they share with train.py."""

import importlib
import keyword
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from tfmr.cli.memory import use_huge_pages
from tfmr.config import default_cache
from tfmr.errors import InputError, nearest

COMMANDS = {
    "prepare": "make the token arrays of a config's corpus",
    "translate": "translate lines with a trained model",
    "score": "log-probabilities of given translations",
    "align": "attention from given translations to their sources, as numbers",
    "generate": "go on with a text, by a trained language model",
    "evaluate": "BLEU, chrF, loss and perplexity of a trained model on a test set",
    "average": "average the newest checkpoints of a run",
    "export": "write a model for transformers (Marian, GPT-2), CTranslate2, or as safetensors",
    "import": "make a run directory of a Marian model (OPUS-MT), a GPT-2, or of safetensors",
    "inspect": "parameters and training FLOPs of a config or run",
    "compile": "compile the training step for a TPU topology without TPUs: memory, collectives, speed",
    "plot": "pictures of a run as PNG: learning curves, attention, beam search, embeddings, positions",
}
"""Each is a module of this package with `main(arguments)`, imported only when it is called; `import` is no name for
one and stands in `import_`."""


_COMPUTES = ("translate", "evaluate", "score", "generate")
"""Commands that run a model for long."""


def main() -> None:
    """The program `tfmr`."""
    if sys.argv[1:2] and sys.argv[1] in _COMPUTES:
        use_huge_pages()
    run(_dispatch, sys.argv[1:])


def run(command: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Calls a command; what the user got wrong becomes one line and exit status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tfmr").setLevel(logging.INFO)
    # A program that was compiled once is read from there the next time. JAX looks at this when it is imported.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(default_cache() / "compiled"))
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax raises what it logs as an error, traceback and all
    sys.unraisablehook = _ignore_closed_loops
    try:
        command(arguments)
        sys.stdout.flush()
    except InputError as error:
        sys.exit(_fail(str(error), 2))
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))


def _ignore_closed_loops(unraisable: Any) -> None:
    """Says nothing of orbax's reads and writes that were under way when one of them failed; that one was raised."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: tfmr COMMAND ...\n\n" + "".join(f"  {name:10} {text}\n" for name, text in COMMANDS.items()))
        print("tfmr COMMAND --help tells more. Training: python train.py CONFIG --help")
        return
    if arguments[0] == "--version":
        import tfmr

        print(f"tfmr {tfmr.__version__}")
        return
    name, *rest = arguments
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}{nearest(name, COMMANDS)}; tfmr --help lists all")
    command_module(name).main(rest)


def command_module(name: str) -> Any:
    """Returns the module of a command."""
    return importlib.import_module(f"tfmr.cli.{name}_" if keyword.iskeyword(name) else f"tfmr.cli.{name}")
