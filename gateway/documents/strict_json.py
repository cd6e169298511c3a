"""Reads JSON strictly; reports doubled names and inexact numbers or texts, each with a JSON pointer.

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
"""Matches a string, or what holds neither strings nor brackets.

The possessive quantifiers and the end of text as an end of a string keep the scan linear: a string that is
never closed is one match, not a new start at each of its characters.
"""

DEPTHS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
FAULTLESS: Final = frozenset({int, float, bool, type(None)})


class ObjectWithDoubledNames(dict[str, Any]):
    """A JSON object with names that occur more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class InexactNumber(str):
    """A number, as it was written, that readers may round or refuse.

    It is beyond a double or 2^53 - 1, NaN or Infinity.
    """

    __slots__ = ()


def read_json(text: str, *, maximum_nesting: int) -> tuple[Any, list[FieldError]]:
    """Decodes `text` into a value and the errors in it, up to `MAXIMUM_ERRORS`. With errors the value must
    not be used.

    Raises `Malformed` (not JSON, with line and column) or `TooLarge` (nested too deeply).
    """
    # Comes first: `json.loads` recurses, and a deeply nested text would end in a RecursionError.
    check_nesting(text, maximum_nesting)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=InexactNumber,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    return value, list(islice(_errors(value, []), MAXIMUM_ERRORS))


def check_nesting(text: str, maximum: int) -> None:
    """Raises `TooLarge` if arrays and objects in `text` are nested more than `maximum` deep."""
    if text.count("[") + text.count("{") <= maximum:
        return
    brackets = NO_BRACKET.sub("", text)
    if max(accumulate(map(DEPTHS.__getitem__, brackets)), default=0) > maximum:
        raise TooLarge(f"the document is nested more than {maximum} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    return built if len(built) == len(pairs) else ObjectWithDoubledNames(pairs)


def _integer(text: str) -> int | InexactNumber:
    value = int(text) if len(text) <= 17 else EXACT + 1
    return value if -EXACT <= value <= EXACT else InexactNumber(text)


def _float(text: str) -> float | InexactNumber:
    value = float(text)
    return value if math.isfinite(value) else InexactNumber(text)


def _errors(value: Any, at: list[str | int]) -> Iterator[FieldError]:
    """The errors in `value`, which is at the path `at`: pointers are built only where there is an error."""
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
