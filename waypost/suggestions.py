"""Suggests the name that was probably meant in place of one that is unknown ("did you mean ...?")."""

import difflib
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 100
"""Most characters of a name that gets a suggestion.

The comparison is quadratic, and the name may come from anybody's document.
"""


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The name in `known` most like `name`; None where none reaches the similarity `cutoff` (0 to 1)."""
    if len(name) > LONGEST:
        return None
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)
