"""Python implementations of Rego builtins for which regorus 0.13 gives other results than OPA 1.22."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.policy.embedded.patterns import PATTERN_BUILTINS


def lower(text: str) -> str:
    """Converts text to lower case character by character, as Go does.

    regorus makes `ς` of a final Σ.
    """
    if text.isascii():
        return text.lower()
    return "".join(character.lower()[0] for character in text)


def upper(text: str) -> str:
    """Converts text to upper case, each character to one character, as Go does.

    regorus makes `SS` of ß.
    """
    if text.isascii():
        return text.upper()
    changes = ((character.upper(), character.title(), character) for character in text)
    return "".join(next(change for change in of_one if len(change) == 1) for of_one in changes)


def indexof(text: str, search: str) -> int:
    """Returns the index of `search` in a string, or -1; fails for an empty `search`, as in OPA.

    regorus finds an empty string at 0.
    """
    if not search:
        raise ValueError("nothing to look for")
    return text.find(search)


def _of_strings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps the Python implementation of a builtin so that it fails for arguments that are not strings."""

    def checked(*texts: Any) -> Any:
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("not a string")
        return function(*texts)

    return checked


REPLACED: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "indexof": (2, _of_strings(indexof)),
    "lower": (1, _of_strings(lower)),
    "strings.count": (2, _of_strings(str.count)),
    "upper": (1, _of_strings(upper)),
    **PATTERN_BUILTINS,
}
"""The number of arguments and the Python function of each replaced builtin, by its name in rules."""
