"""Signatures and members of the API pages as a reader wants them: short names of types, a module's own fields only."""

import re
from typing import Any

from sphinx.application import Sphinx

READABLE = (
    # What every Linen module has beside its own fields.
    (r"(, )?(\*, )?parent: [^,]*_Sentinel object( at 0x[0-9a-f]+)?>, name: [^,=]*= None", ""),
    # What jax's names for types stand for.
    (r"(\S*Array \| \S*ndarray \| bool \| \S*number \| bool \| int \| float \| complex)", "ArrayLike"),
    (r"(str \| type\[\S*Any\] \| \S*dtype \| \S*SupportsDType)", "DTypeLike"),
    (r"(jaxlib\._jax\.Array|jax\.Array)", "Array"),
    # Values that have no short form of their own.
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"<function (?:\w+\.)*(\w+)( at 0x[0-9a-f]+)?>", r"\1"),
)
"""Patterns of a signature's text and what is written instead."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects what is below to autodoc."""
    app.connect("autodoc-process-signature", _make_readable)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def readable(signature: str | None) -> str | None:
    """Returns the text of a signature, or of what is returned, by short names."""
    for pattern, instead in READABLE if signature else ():
        signature = re.sub(pattern, instead, signature)
    return signature


def _make_readable(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    return readable(signature), readable(returns)


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out what flax and named tuples put into a class, and a default that only looks documented."""
    says_nothing = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if says_nothing or name.rpartition(".")[2] in ("setup", "replace", "dtype") else None
