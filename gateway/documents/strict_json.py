"""Reads JSON strictly; reports doubled names and inexact numbers or texts, each with a JSON pointer.

JSON readers differ about these. msgspec is faster and is tried first (`parsing.py`): it keeps the last of two
equal names, and it stops at the first error without giving a line.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.core.errors import Malformed, TooLarge
from waypost.distinct_names import doubled_names
from waypost.json_pointer import FieldError, below
from waypost.workflow.ijson_limits import UNFAITHFUL, faithful, text_fault

TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""Matches a string, or a bracket that opens or closes an object or array.

The possessive quantifiers and the end of text as an end of a string keep the scan linear: a string that is
never closed is one token, not a new start at each of its characters.
"""


class ObjectWithDoubledNames(dict[str, Any]):
    """A JSON object with names that occur more than once; `names` lists them."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.names = doubled_names(pairs)


class InexactNumber(str):
    """A number, as it was written, that readers may round or refuse.

    It is beyond a double or 2^53 - 1, NaN or Infinity.
    """

    __slots__ = ()


def read_json(text: str, *, maximum_nesting: int) -> tuple[Any, list[FieldError]]:
    """Decodes `text` into a value and the errors in it. With errors the value must not be used.

    Raises `Malformed` (not JSON, with line and column) or `TooLarge` (nested too deeply).
    """
    # Comes first: `json.loads` recurses, and a deeply nested text would end in a RecursionError.
    check_nesting(text, maximum_nesting)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=InexactNumber,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    return value, list(_errors(value, ""))


def check_nesting(text: str, maximum: int) -> None:
    """Raises `TooLarge` if arrays and objects in `text` are nested more than `maximum` deep."""
    depth = 0
    for token in TOKEN.finditer(text):
        match token[0][0]:
            case "[" | "{":
                depth += 1
                if depth > maximum:
                    raise TooLarge(f"the document is nested more than {maximum} deep")
            case "]" | "}":
                depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    return built if len(built) == len(pairs) else ObjectWithDoubledNames(pairs)


def _number(text: str) -> int | float | InexactNumber:
    value = faithful(text)
    return InexactNumber(text) if value is None else value


def _errors(value: Any, at: str) -> Iterator[FieldError]:
    if isinstance(value, InexactNumber):
        yield FieldError(at, f"{value:.40} {UNFAITHFUL}")
    elif isinstance(value, str):
        if fault := text_fault(value):
            yield FieldError(at, fault)
    elif isinstance(value, dict):
        if isinstance(value, ObjectWithDoubledNames):
            yield from (FieldError(below(at, name), "is there twice") for name in value.names)
        for name, inner in value.items():
            if fault := text_fault(name):
                # The pointer ends at the object: a name with a NUL or half a character cannot be written in
                # it.
                yield FieldError(at, f"the name {name!r:.80} {fault}")
            else:
                yield from _errors(inner, below(at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _errors(inner, below(at, index))
