"""Errors that users can fix, reported in one line."""

import difflib
import importlib.util
from collections.abc import Iterable

TRAIN_PACKAGES = frozenset(
    {
        *("array_record", "importlib_resources", "matplotlib", "optax", "orbax", "rich", "sacrebleu", "safetensors"),
        *("tensorboardX", "tensorflow_datasets", "tokenizers", "tyro"),
    }
)
"""The packages that `tfmr[train]` installs, by the names under which they are imported."""


class InputError(ValueError):
    """A mistake in the user's input: a key, a value, a file or a folder.

    The message is one line with the name, the value and the fix. The commands print it without a traceback and exit
    with status 2.
    """


class MissingPackage(InputError, ModuleNotFoundError):
    """A package of `tfmr[train]`, or of another extra, that is not installed."""

    def __init__(self, package: str, *, extra: str = "train", purpose: str = "train, decode and plot"):
        """Creates the error for the name of a package, the extra that installs it, and what it is needed for."""
        super().__init__(f'{package}: not installed, but needed to {purpose}: pip install "tfmr[{extra}]"')
        self.name = package


def require_packages(*names: str, extra: str = "train", purpose: str = "train, decode and plot") -> None:
    """Raises MissingPackage unless all packages are installed. Does not import them."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingPackage(name, extra=extra, purpose=purpose)


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean 'x'?)" for the known name most similar to `name`, or '' if none is similar."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
