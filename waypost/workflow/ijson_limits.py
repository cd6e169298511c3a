"""Checks numbers and texts against the limits of I-JSON (RFC 7493), in documents and task outputs."""

import math
import re
from typing import Any, Final

EXACT: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493); larger ones travel as strings."""

NESTING: Final = 64
"""The most levels of nesting in a task's output; documents have the same limit.

Conditions and placeholders read both alike.
"""

NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""Matches a JSON number, with groups for its fraction and its exponent."""

HALF_CHARACTER: Final = re.compile("[\ud800-\udfff]")
"""Matches half of a surrogate pair, which is no character."""

UNFAITHFUL: Final = "is not the same number to every reader: write it as a string"


def exact_number(text: str) -> int | float | None:
    """Parses a JSON number; returns None where `text` is no number, or one that readers read differently.

    Those are integers whose size is over 2^53 - 1, and numbers too large for a double.
    """
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[1] or match[2]:
        value = float(text)
        return value if math.isfinite(value) else None
    return int(text) if len(text) <= 17 and abs(int(text)) <= EXACT else None


def text_fault(text: str) -> str | None:
    """Returns the fault of a text that not every system can carry (a NUL, half a surrogate pair), or None."""
    if "\0" in text:
        return "holds a NUL character, which neither processes nor databases take"
    if not text.isascii() and HALF_CHARACTER.search(text):
        return "holds half of a surrogate pair, which is no character"
    return None


def value_fault(value: Any) -> str | None:
    """Returns which limit of I-JSON or of nesting a decoded JSON `value` breaks, in words; or None.

    A later reader would read such a value differently. Goes level by level rather than recursively, so that a
    deep value cannot exhaust the stack.
    """
    level = [value]
    for _ in range(NESTING + 1):
        for one in level:
            if isinstance(one, int) and not -EXACT <= one <= EXACT:
                return f"holds {str(one)[:40]}, which {UNFAITHFUL}"
            if isinstance(one, str) and (fault := text_fault(one)) is not None:
                return fault
        level = [inner for outer in level for inner in _values_within(outer)]
        if not level:
            return None
    return f"is nested more than {NESTING} deep"


def _values_within(value: Any) -> list[Any]:
    """Returns the items of a JSON array, or the names and values of an object, else an empty list.

    Names are included since the limits of texts hold for them too.
    """
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
