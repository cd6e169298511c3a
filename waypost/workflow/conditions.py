"""Checks the text of a task's condition (`tasks[].when`, in CEL) and finds the names that it may read.

A condition reads `tasks["name"].output`, `params` and `shard`; where it is false the task is skipped. It is
compiled and evaluated later, in a process that can be killed (`waypost.condition_evaluation`).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

MAXIMUM_CHARACTERS: Final = 2_048
"""The most characters of a condition."""
CACHED: Final = 4_096
NAMED: Final = re.compile(
    r"""\s*(?:\.\s*([A-Za-z_]\w*)\b(?!\s*(?:\(|//))|\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\])""", re.ASCII
)
"""Matches a name below a value, `.name` or `["name"]`.

With a parenthesis after it `.size` is a method: the value itself is read.
"""


def selected(text: str, root: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Selects those of `values`, the fields of the variable `root`, that a condition's text may read.

    Only these are sent to the evaluator of the condition. Selects all where the text does not name a field at
    each mention of `root`. Never raises.
    """
    names = _names_below(text, root)
    if names is None:
        return dict(values)
    return {name: values[name] for name in names if name in values}


@lru_cache(CACHED)
def _names_below(text: str, root: str) -> tuple[str, ...] | None:
    """Returns the fields of the variable `root` that a condition's text names, each once.

    None if it may read others. The text is not parsed: a mention in a literal or in a comment counts too.
    """
    found: list[str] = []
    for mention in re.finditer(rf"(?<!\w){root}(?!\w)", text, re.ASCII):
        named = NAMED.match(text, mention.end())
        if named is None:
            return None
        found.append(next(group for group in named.groups() if group is not None))
    return tuple(dict.fromkeys(found))


def text_error(text: str) -> str | None:
    """Returns why a condition is refused before it is compiled: too long, or with placeholders; else None."""
    if len(text) > MAXIMUM_CHARACTERS:
        return f"has {len(text)} characters; {MAXIMUM_CHARACTERS} are allowed"
    if "${" in text:
        return "placeholders are not filled in here: write params.name for ${params.name}"
    return None
