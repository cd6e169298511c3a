"""Refuses JSON objects in which a name occurs twice.

Readers disagree about which of the two values counts: `json.loads` and msgspec keep the last one without an
error. RFC 7493 (I-JSON) forbids such objects.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any


class DoubledName(ValueError):
    """Raised for a JSON object in which a name occurs twice."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the name {name!r:.80} is there twice")
        self.name = name


def doubled_names(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    """Returns the names that occur more than once in `pairs` of (name, value), each listed once."""
    return [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]


def distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Builds the dict of a JSON object from its (name, value) pairs; raises `DoubledName` for repeated names.

    For use as `object_pairs_hook` of `json.loads`.
    """
    built = dict(pairs)
    if len(built) < len(pairs):
        raise DoubledName(doubled_names(pairs)[0])
    return built
