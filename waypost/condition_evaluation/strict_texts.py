"""Checks strings given to CEL's conversions (`timestamp()`, `int()` and others), as CEL specifies them.

cel-expr-python 0.1.3 accepts more: ` 2026-1-31T10:00:00+0800` as a time, ` 7` as a number, `+25:00` and files
of the machine as a time zone.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
INT: Final = re.compile(r"[+-]?[0-9]+")
UINT: Final = re.compile(r"[0-9]+")
DOUBLE: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
NO_NUMBER: Final = re.compile(r"[+-]?(inf|infinity)|nan", re.I)
OFFSET: Final = re.compile(r"[+-]?([01][0-9]|2[0-3]):[0-5][0-9]")


def time_text(text: str) -> str:
    """Checks that a string given to CEL's `timestamp()` is an RFC 3339 time, and returns it.

    Raises `ValueError` where it is not.
    """
    if not TIME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no time as RFC 3339 writes it: 2026-01-31T10:00:00Z")
    return text


def int_text(text: str) -> str:
    """Checks that a string given to CEL's `int()` is an integer, and returns it; else raises `ValueError`."""
    return _matching(INT, text, "integer")


def uint_text(text: str) -> str:
    """Checks that a string given to CEL's `uint()` is an unsigned integer, and returns it.

    Raises `ValueError` where it is not.
    """
    return _matching(UINT, text, "unsigned integer")


def double_text(text: str) -> str:
    """Checks that a string given to CEL's `double()` is a number that fits a double, and returns it.

    Raises `ValueError` where it does not.
    """
    if NO_NUMBER.fullmatch(text):
        return text
    if math.isinf(float(_matching(DOUBLE, text, "number"))):
        raise ValueError(f"{text[:80]} is beyond what a double holds")
    return text


def zone_text(text: str) -> str:
    """Checks that the time zone given to a CEL function such as `getHours()` is one, and returns it.

    Raises `ValueError` where it is neither an offset nor the name of a zone.
    """
    if not OFFSET.fullmatch(text) and text not in _zones():
        raise ValueError(f"{text[:80]!r} is no time zone: write +08:00, or a name such as Asia/Shanghai")
    return text


CONVERSIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "timestamp": time_text,
    "int": int_text,
    "uint": uint_text,
    "double": double_text,
}
"""The check of the string argument of each CEL conversion function, by the function's name."""
OF_A_ZONE: Final = frozenset(
    f"get{part}"
    for part in (
        "FullYear",
        "Month",
        "Date",
        "DayOfMonth",
        "DayOfWeek",
        "DayOfYear",
        "Hours",
        "Minutes",
        "Seconds",
        "Milliseconds",
    )
)
"""The names of CEL's timestamp methods that take a time zone."""


def zone_folder() -> str:
    """Returns the folder of time zone files in the package tzdata, which is the same on every machine."""
    return str(files("tzdata") / "zoneinfo")


@lru_cache(1)
def _zones() -> frozenset[str]:
    return frozenset((files("tzdata") / "zones").read_text().split())


def _matching(pattern: re.Pattern[str], text: str, kind: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no {kind}")
    return text
