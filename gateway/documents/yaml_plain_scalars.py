"""Decodes a plain (unquoted) YAML scalar to the value that every YAML version gives it, if there is one.

A scalar that YAML 1.1 and 1.2 read as different values (yes, 012, 12:30, 1_000, dates, merge keys) has no
such value.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from waypost.workflow.ijson_limits import NUMBER, UNFAITHFUL, exact_number

TAGS: Final = "tag:yaml.org,2002:"
PLAIN_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
YAML_NUMBER: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
)
"""Matches a plain scalar that the core schema of YAML 1.2 resolves to a number."""

SHORT_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?")
"""Matches a plain scalar that every reader of YAML takes for the same number."""

WORDS: Final = frozenset({"y", "yes", "n", "no", "true", "false", "on", "off", "null"})
"""The plain scalars, in lower case, that begin with a letter and may be more than text."""

RESOLVERS: Final[Mapping[str, Sequence[tuple[str, re.Pattern[str]]]]] = (
    yaml.CSafeLoader.yaml_implicit_resolvers
)
"""The patterns by which YAML 1.1 gives plain scalars a type, by first character, from PyYAML."""

YAML_1_1_KINDS: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "str": "a number",
    "timestamp": "a date",
}


def plain_scalar(text: str) -> tuple[Any, str | None]:
    """Returns the value of the plain YAML scalar `text`, or the reason why YAML versions differ on it."""
    first = text[0]
    # No number either: RESOLVERS has what those begin with.
    if first not in RESOLVERS or (first.isalpha() and text.lower() not in WORDS):
        return text, None
    if short := SHORT_NUMBER.fullmatch(text):
        return float(text) if short[1] else int(text), None
    number = NUMBER.fullmatch(text) is not None
    value = exact_number(text) if number else None
    if number and value is None:
        return None, f"{text:.40} {UNFAITHFUL}"
    # What YAML 1.1 takes the plain scalar for, compared with what JSON (and so YAML 1.2) takes it for.
    kind = _yaml_1_1_kind(text)
    if number and kind is not None:
        return value, None  # a number to both
    # YAML 1.1 readers insert the fields of another mapping here, YAML 1.2 readers see a field named "<<".
    if text == "<<":
        return None, "merge keys (<<) are not YAML 1.2: write the fields out"
    # A value to one version and text to the other: 1e5 is text in 1.1, 012 is octal in 1.1 and decimal in
    # 1.2.
    if kind is not None or YAML_NUMBER.fullmatch(text):
        hint = "write 1.0e+5 for 1e5" if number else "write it as JSON does"
        return None, (
            f"{text[:40]!r} is {YAML_1_1_KINDS.get(kind or 'str', 'something else')} to some readers of YAML "
            f"and text to others: put quotes around it, or {hint}"
        )
    return text, None


def _yaml_1_1_kind(text: str) -> str | None:
    """Returns the kind of value as which YAML 1.1 reads a plain scalar; None for text."""
    for tag, pattern in RESOLVERS.get(text[0], ()):
        if pattern.match(text):
            return tag.removeprefix(TAGS)
    return None
