"""A strict JSON reader: reports doubled names, inexact numbers and faulty text, each with a JSON pointer.

JSON readers differ about these. msgspec is faster and is tried first (`parsing.py`): it keeps the last of two
equal names, and it stops at the first error without giving a line.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any, Final

from gateway.core.errors import Malformed, TooLarge
from waypost.distinct_names import doubled_names
from waypost.json_pointer import MAXIMUM_ERRORS, FieldError, pointer_to
from waypost.workflow.ijson_limits import EXACT, UNFAITHFUL, text_fault

NO_BRACKET: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[^"\[\]{}]++', re.DOTALL)
"""Matches a JSON string, or text without strings and brackets.

The possessive quantifiers and the end of text as an end of a string keep the scan linear: a string that is
never closed is one match, not a new start at each of its characters.
"""

DEPTHS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
ESCAPED_FAULT: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""Matches the JSON escape of a NUL or of half a surrogate pair."""

FAULTLESS: Final = frozenset({int, float, bool, type(None)})


class ObjectWithDoubledNames(dict[str, Any]):
    """A decoded JSON object in which a name occurs more than once; `pairs` has all its names and values."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class InexactNumber(str):
    """The text of a JSON number that readers may round or refuse.

    The number is beyond a double or 2^53 - 1, or is NaN or Infinity.
    """

    __slots__ = ()


def read_json(text: str, *, maximum_nesting: int) -> tuple[Any, list[FieldError]]:
    """Decodes the JSON `text`; returns the value and the errors in it, up to `MAXIMUM_ERRORS`.

    The value must not be used if there are errors. Raises `Malformed` (not JSON, with line and column) or
    `TooLarge` (nested too deeply).
    """
    decoder = _Decoder()
    # Comes first: `json.loads` recurses, and a deeply nested text would end in a RecursionError.
    check_nesting(text, maximum_nesting)
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    # Nearly no document has such errors, and a value of 300,000 arrays takes long to walk through.
    if not decoder.suspicious and ESCAPED_FAULT.search(text) is None:
        return value, []
    return value, list(islice(_errors(value, []), MAXIMUM_ERRORS))


def check_nesting(text: str, maximum: int) -> None:
    """Raises `TooLarge` if arrays and objects in `text` are nested more than `maximum` deep."""
    if text.count("[") + text.count("{") <= maximum:
        return
    brackets = NO_BRACKET.sub("", text)
    if max(accumulate(map(DEPTHS.__getitem__, brackets)), default=0) > maximum:
        raise TooLarge(f"the document is nested more than {maximum} deep")


class _Decoder(json.JSONDecoder):
    """A JSON decoder that sets `suspicious` to True if a name is doubled or a number inexact."""

    def __init__(self) -> None:
        super().__init__(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._inexact,
        )
        self.suspicious = False

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) == len(pairs):
            return built
        self.suspicious = True
        return ObjectWithDoubledNames(pairs)

    def _integer(self, text: str) -> int | InexactNumber:
        value = int(text) if len(text) <= 17 else EXACT + 1
        return value if -EXACT <= value <= EXACT else self._inexact(text)

    def _float(self, text: str) -> float | InexactNumber:
        value = float(text)
        return value if math.isfinite(value) else self._inexact(text)

    def _inexact(self, text: str) -> InexactNumber:
        self.suspicious = True
        return InexactNumber(text)


def _errors(value: Any, at: list[str | int]) -> Iterator[FieldError]:
    """Yields the errors (doubled names, inexact numbers, faulty text) in `value`, at the path `at`.

    Pointers are built only if there is an error.
    """
    if isinstance(value, InexactNumber):
        yield FieldError(pointer_to(at), f"{value:.40} {UNFAITHFUL}")
    elif isinstance(value, str):
        if fault := text_fault(value):
            yield FieldError(pointer_to(at), fault)
    elif isinstance(value, dict):
        yield from _errors_in_object(value, at)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if type(inner) not in FAULTLESS:
                yield from _errors(inner, [*at, index])


def _errors_in_object(value: dict[str, Any], at: list[str | int]) -> Iterator[FieldError]:
    if isinstance(value, ObjectWithDoubledNames):
        doubled = doubled_names(value.pairs)
        yield from (FieldError(pointer_to((*at, name)), "is there twice") for name in doubled)
    for name, inner in value.items():
        if fault := text_fault(name):
            # The pointer ends at the object: a name with a NUL or half a character cannot be written in it.
            yield FieldError(pointer_to(at), f"the name {name[:80]!r:.80} {fault}")
        elif type(inner) not in FAULTLESS:
            yield from _errors(inner, [*at, name])
