"""JSON, read strictly: every doubled name, every number and every text that not all readers take alike, each with a pointer.

msgspec reads faster and is asked first. It lets the last of two equal names win and stops at the first error, without a line.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.core.errors import Malformed, TooLarge
from waypost.json_pointer import FieldError, below
from waypost.strict_json import doubled_names
from waypost.workflow.ijson import UNFAITHFUL, faithful, text_fault

TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""A string, or what opens or closes an object or array. A string that never ends is one token, so that no text is looked at twice."""


class Doubled(dict[str, Any]):
    """An object in which some names are there twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.names = doubled_names(pairs)


class Odd(str):
    """A number that cannot be carried, as it was written."""

    __slots__ = ()


def read_json(text: str, *, maximum_nesting: int) -> tuple[Any, list[FieldError]]:
    """The value that `text` is, and what is wrong inside it; the value means nothing where something is.

    Raises `Malformed` (not JSON, with line and column) or `TooLarge` (nested too deeply).
    """
    check_nesting(text, maximum_nesting)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_number, parse_float=_number, parse_constant=Odd
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    return value, list(_faults(value, ""))


def check_nesting(text: str, maximum: int) -> None:
    """Raises `TooLarge` where arrays and objects are nested more than `maximum` deep."""
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
    return built if len(built) == len(pairs) else Doubled(pairs)


def _number(text: str) -> int | float | Odd:
    value = faithful(text)
    return Odd(text) if value is None else value


def _faults(value: Any, at: str) -> Iterator[FieldError]:
    if isinstance(value, Odd):
        yield FieldError(at, f"{value:.40} {UNFAITHFUL}")
    elif isinstance(value, str):
        if fault := text_fault(value):
            yield FieldError(at, fault)
    elif isinstance(value, dict):
        if isinstance(value, Doubled):
            yield from (FieldError(below(at, name), "is there twice") for name in value.names)
        for name, inner in value.items():
            if fault := text_fault(name):
                yield FieldError(at, f"the name {name!r:.80} {fault}")
            else:
                yield from _faults(inner, below(at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _faults(inner, below(at, index))
