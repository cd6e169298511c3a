"""Python implementations of Rego builtins for which regorus 0.13 gives other results than OPA 1.22.

Regular expressions are those of RE2, whose syntax Go has; regorus has another. Go differs in two points from
the Python wrapper of RE2, and this module does as Go: it continues the search elsewhere after an empty match,
and reads `$name` in a replacement as a group.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import re2

_SINGLE_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")
r"""Matches `\C`, a pattern for one byte that RE2 in C++ knows and Go does not."""
_INNER_BYTES: Final = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))
"""The bytes of characters in UTF-8 other than their first."""
_GROUP: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> Any:
    """Compiles a regular expression for UTF-8 texts. Raises `ValueError` for one that Go refuses."""
    options = re2.Options()
    options.log_errors = False
    if _SINGLE_BYTE.search(pattern):
        raise ValueError("it is no pattern: \\C")
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise ValueError(f"it is no pattern: {reason}") from error


def pattern_error(pattern: str) -> str:
    """Returns the reason why a regular expression is invalid; empty if it is valid."""
    try:
        _compile(pattern)
    except ValueError as error:
        return str(error)
    return ""


def _matches(pattern: str, text: bytes) -> Iterator[Any]:
    """Yields a regular expression's matches in `text`, as Go finds them.

    Go leaves out an empty match right after another match, or between the bytes of a character.
    """
    before = -1
    for found in _compile(pattern).finditer(text):
        start, end = found.span()
        if end > start or (start != before and text[start : start + 1] not in _INNER_BYTES):
            yield found
        before = end


def _some(pattern: str, text: str, number: float) -> Iterator[Any]:
    if isinstance(number, bool) or number != int(number):
        raise ValueError("no number of matches")
    for count, found in enumerate(_matches(pattern, text.encode())):
        if 0 <= number <= count:
            return
        yield found


def match(pattern: str, text: str) -> bool:
    """Implements `regex.match`: returns whether the regular expression matches anywhere in `text`."""
    return next(_matches(pattern, text.encode()), None) is not None


def find_n(pattern: str, text: str, number: float) -> list[str]:
    """Implements `regex.find_n`: returns the first `number` matches in `text`; all for a negative number."""
    return [found[0].decode() for found in _some(pattern, text, number)]


def find_all_string_submatch_n(pattern: str, text: str, number: float) -> list[list[str]]:
    """Implements `regex.find_all_string_submatch_n`: returns the first `number` matches and their groups.

    Each match is a list: the matched text, then the text of each group. A negative number means all.
    """
    return [
        [found[0].decode(), *((group or b"").decode() for group in found.groups())]
        for found in _some(pattern, text, number)
    ]


def replace(text: str, pattern: str, replacement: str) -> str:
    """Implements `regex.replace`: returns `text` with each match of the pattern replaced.

    In the replacement `$1`, `${1}` and `$name` are the match's groups, `$$` is a dollar.
    """
    source, written, end = text.encode(), list[bytes](), 0
    for found in _matches(pattern, source):
        expanded = _GROUP.sub(partial(_group, found), replacement)
        written += [source[end : found.start()], expanded.encode()]
        end = found.end()
    return b"".join([*written, source[end:]]).decode()


def _group(found: Any, name: re.Match[str]) -> str:
    """Returns the text for `$$` (a dollar), or for `$1` or `$name` (a group; empty if there is none)."""
    if name[1]:
        return "$"
    wanted = name[2] or name[3]
    number = int(wanted) if wanted.isdecimal() else found.re.groupindex.get(wanted.encode(), -1)
    return (found[number] or b"").decode() if 0 <= number <= found.re.groups else ""


PATTERN_BUILTINS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "regex.find_all_string_submatch_n": (3, find_all_string_submatch_n),
    "regex.find_n": (3, find_n),
    "regex.match": (2, match),
    "regex.replace": (3, replace),
}
"""The number of arguments and the function of each builtin, by its name in rules."""


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
