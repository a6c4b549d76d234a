"""The program `tfmr`, and what its commands share with train.py."""

import errno
import gc
import importlib
import keyword
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from tfmr.cli.ending import ending_at_signals
from tfmr.cli.memory import use_huge_pages
from tfmr.config import default_cache
from tfmr.errors import TRAIN_PACKAGES, InputError, MissingPackage, nearest

COMMANDS = {
    "prepare": "tokenise the corpus of a config",
    "translate": "translate lines with a trained model",
    "score": "compute the log-probabilities of given translations",
    "align": "write the attention from given translations to their sources",
    "generate": "continue a text with a trained language model",
    "serve": "answer requests over HTTP with trained models, with a page for a browser",
    "evaluate": "compute BLEU, chrF, loss and perplexity of a trained model on a test set",
    "average": "average the newest checkpoints of a run",
    "merge": "add the low-rank changes (LoRA) of a run to the parameters that it started from",
    "export": "write a model for transformers (Marian, GPT-2) or CTranslate2, or as safetensors",
    "import": "create a run directory from a Marian model (OPUS-MT), a GPT-2 model or safetensors",
    "inspect": "count the parameters and training FLOPs of a config or run",
    "compile": "compile the training step for TPUs without a TPU: memory, collectives, speed",
    "plot": "draw a run as PNG files: learning curves, attention, beam search, embeddings, positions",
}
"""Each command is a module of this package with `main(arguments)`, imported only when it is called. The module of
`import`, which is a keyword, is `import_`."""


_COMPUTES = ("translate", "evaluate", "score", "generate", "serve")
"""Commands that compute for a long time."""


def main() -> None:
    """The program `tfmr`."""
    # Imports and tracing create many long-lived objects. Scanning them for garbage takes a tenth of a short command.
    gc.set_threshold(200_000)
    if sys.argv[1:2] and sys.argv[1] in _COMPUTES:
        use_huge_pages()
    run(_dispatch, sys.argv[1:])


def run(command: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Calls a command. An InputError, or a missing package, becomes one line on stderr and exit status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tfmr").setLevel(logging.INFO)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax logs the errors that it raises, with tracebacks
    sys.unraisablehook = ignore_closed_event_loops
    try:
        # Compiled programs are cached there. JAX reads this variable when it is imported.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(default_cache() / "compiled"))
        with ending_at_signals():
            command(arguments)
            sys.stdout.flush()
    except InputError as error:
        sys.exit(_fail(str(error), 2))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in TRAIN_PACKAGES:
            raise
        sys.exit(_fail(str(MissingPackage(package)), 2))
    except BrokenPipeError:
        _discard_output()  # its reader has closed it, as `head` does
        sys.exit(141)
    except OSError as error:
        if error.filename is not None:  # a name that is too long, a loop of links, a disk that fails
            sys.exit(_fail(f"{os.fsdecode(error.filename)}: {error.strerror}; check this path", 2))
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        _discard_output()
        sys.exit(_fail(f"standard output: cannot be written ({error.strerror}); free up space", 2))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # how XLA reports it
            raise
        sys.exit(_fail("out of memory; use a smaller model, smaller batches, a smaller beam or shorter lines", 2))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))


def ignore_closed_event_loops(unraisable: Any) -> None:
    """Does not print the tracebacks of orbax's reads that end after another read has failed.

    orbax raises the error of the failed read and closes its event loop while other reads still run. Each of these then
    tries to report to the closed loop. tests/cli/test_workarounds.py fails once orbax waits for them or cancels them.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _discard_output() -> None:
    """Discards unwritten output, so that the interpreter exits without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    """Prints a message as one line, whatever characters are in the names and values that it quotes."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in message)
    print(f"error: {line}", file=sys.stderr)
    return status


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: tfmr COMMAND ...\n\n" + "".join(f"  {name:10} {text}\n" for name, text in COMMANDS.items()))
        print("tfmr COMMAND --help lists the options of a command. To train: python train.py CONFIG --help")
        return
    if arguments[0] == "--version":
        import tfmr

        print(f"tfmr {tfmr.__version__}")
        return
    name, *rest = arguments
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}{nearest(name, COMMANDS)}; tfmr --help lists all commands")
    command_module(name).main(rest)


def command_module(name: str) -> Any:
    """Returns the module of a command."""
    return importlib.import_module(f"tfmr.cli.{name}_" if keyword.iskeyword(name) else f"tfmr.cli.{name}")
