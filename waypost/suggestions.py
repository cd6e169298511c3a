"""Finds the known name that is spelled most like an unknown one, for "did you mean ...?" in errors."""

import difflib
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 100
"""The most characters of a name for which a suggestion is searched.

The comparison is quadratic, and the name may come from anybody's document.
"""


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Returns the name in `known` that is spelled most like `name`.

    None where none reaches the similarity `cutoff` (0 to 1).
    """
    if len(name) > LONGEST:
        return None
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)
