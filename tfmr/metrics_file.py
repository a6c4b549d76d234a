"""metrics.jsonl, a line of JSON for what there is to tell of a step: how it is read."""

import json
from typing import Any

from tfmr.storage import AnyPath


def read_lines(file: AnyPath) -> list[dict[str, Any]]:
    """Returns the lines, each with its `step`, in the order in which they were written; none where there is no file.

    What was cut off when a run was killed is left out, and so is what is no line of metrics.
    """
    if not file.exists():
        return []
    lines = []
    for text in file.read_bytes().decode("utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines
