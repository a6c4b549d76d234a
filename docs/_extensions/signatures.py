"""Simplifies the API pages: shortens type names in signatures and omits members that are not a module's own."""

import re
from typing import Any

from sphinx.application import Sphinx

READABLE = (
    # Fields that every Linen module has in addition to its own.
    (r"(, )?(\*, )?parent: [^,]*_Sentinel object( at 0x[0-9a-f]+)?>, name: [^,=]*= None", ""),
    # Expanded type aliases of JAX.
    (r"(\S*Array \| \S*ndarray \| bool \| \S*number \| bool \| int \| float \| complex)", "ArrayLike"),
    (r"(str \| type\[\S*Any\] \| \S*dtype \| \S*SupportsDType)", "DTypeLike"),
    (r"(jaxlib\._jax\.Array|jax\.Array)", "Array"),
    # Default values without a short repr.
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"<function (?:\w+\.)*(\w+)( at 0x[0-9a-f]+)?>", r"\1"),
)
"""Patterns in the text of a signature, and their replacements."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the autodoc handlers."""
    app.connect("autodoc-process-signature", _make_readable)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def readable(signature: str | None) -> str | None:
    """Returns a signature or return annotation with short names."""
    for pattern, instead in READABLE if signature else ():
        signature = re.sub(pattern, instead, signature)
    return signature


def _make_readable(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    return readable(signature), readable(returns)


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Omits members that flax and named tuples add, and `dtype`, whose docstring is that of its default value."""
    says_nothing = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if says_nothing or name.rpartition(".")[2] in ("setup", "replace", "dtype") else None
