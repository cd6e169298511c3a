"""Builds and splits JSON pointers (RFC 6901), which locate a value in a JSON document."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

LOCATION: Final = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
"""Matches the location at the end of a message of msgspec 0.22, such as ` - at `$.creates[0].item``.

It may also be ` - at `key` in `$.labels``.
"""

STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
"""Matches one part of a path of msgspec: a field or an index."""

LONGEST: Final = 1_000
"""The most characters of a JSON pointer."""

MAXIMUM_ERRORS: Final = 300
"""The number of errors after which the search for more stops.

A document may have a hundred thousand, and 100 are shown.
"""


class FieldError(Struct, frozen=True, gc=False):
    """An error at one place of a document: a JSON pointer to the value, and how to correct the value."""

    pointer: str
    detail: str


def below(pointer: str, *parts: str | int) -> str:
    """Extends the JSON pointer `pointer` by `parts` (field names and array indices).

    `below("/spec", "tasks", 0)` is `/spec/tasks/0`. The result ends above the first name with which it would
    have more than `LONGEST` characters: names come from anybody's document, and may have a million.
    """
    for part in parts:
        if len(pointer) + (len(part) if isinstance(part, str) else 1) > LONGEST:
            break
        step = part.replace("~", "~0").replace("/", "~1") if isinstance(part, str) else part
        pointer = f"{pointer}/{step}"
    return pointer


def pointer_to(parts: Iterable[str | int]) -> str:
    """Builds the JSON pointer that leads from the document's root along `parts` (names and indices)."""
    return below("", *parts)


def parts_of(pointer: str) -> list[str]:
    """Splits a JSON pointer into its field names and array indices, all as text."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def located(error: msgspec.DecodeError) -> tuple[str, str]:
    """Splits a msgspec error into the JSON pointer to the faulty value and the message without location.

    Below a key of a map msgspec writes `[...]` and names no key: the pointer ends there.
    """
    message = str(error)
    location = LOCATION.search(message)
    steps = STEP.findall(location[1].partition("[...]")[0]) if location else []
    pointer = pointer_to(name or int(index) for name, index in steps)
    return pointer, LOCATION.sub("", message)
