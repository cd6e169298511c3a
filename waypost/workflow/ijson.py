"""Numbers and texts that everybody who reads a document, or what a task has left, reads the same."""

import math
import re
from typing import Final

EXACT: Final = 2**53 - 1
"""The largest integer that survives every JSON reader, policy engines among them (RFC 7493, I-JSON): larger ones travel as strings."""

NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""A number as JSON writes it."""

UNFAITHFUL: Final = "is not the same number to every reader: write it as a string"


def faithful(text: str) -> int | float | None:
    """What the JSON number `text` says, or None where readers would differ: an integer beyond 2^53 - 1, anything beyond a double."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[1] or match[2]:
        value = float(text)
        return value if math.isfinite(value) else None
    return int(text) if len(text) <= 17 and abs(int(text)) <= EXACT else None


def text_fault(text: str) -> str | None:
    """Why a text cannot be carried everywhere: it holds a NUL, or half a character."""
    if "\0" in text:
        return "holds a NUL character, which neither processes nor databases take"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a surrogate pair, which is no character"
    return None
