"""Fills in placeholders in the strings of a task: `${params.date}`, `${shard.index}`, `${shard.item.name}`.

A task is rendered twice: the gateway fills in `params` once a run, the cluster fills in `shard` for each
shard. The second rendering must not interpret what the first has filled in. So the first escapes values:
each dollar becomes `${$}` and an empty text becomes `${}`, and the last turns these back. In a document
`$${` therefore stands for a literal `${`, `${$}` for a literal `$` (as in `${$}${params.price}`), and `${}`
for an empty text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

DOLLAR: Final = "${$}"
NOTHING: Final = "${}"
PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{\$?\}|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)+)\}|\$\{")
"""Matches an escape, a dollar or empty text, a placeholder, or (last) a malformed `${`."""

WHOLE_PLACEHOLDER: Final = re.compile(PLACEHOLDER.pattern.replace("([", "(?:["))
"""Matches what `PLACEHOLDER` does, but without a capturing group."""

MALFORMED: Final = "${"
SHOWN_CHARACTERS: Final = 200
LITERALS: Final[Mapping[str, str]] = {"$${": "${", DOLLAR: "$", NOTHING: ""}


class PlaceholderError(Exception):
    """Raised for a placeholder that is malformed, or names a value that does not exist."""


def references(text: str) -> dict[tuple[str, ...], int]:
    """Returns how often each well-formed placeholder occurs in `text`, by the names between its dots.

    The names are a tuple: ("params", "date") for `${params.date}`.
    """
    # A text may be a megabyte of them: they are counted before each is looked at.
    counts = Counter(PLACEHOLDER.findall(text))
    return {tuple(names.split(".")): count for names, count in counts.items() if names}


def malformed(text: str) -> Iterator[str]:
    """Yields an error message for each `${` in `text` that begins no valid placeholder."""
    if MALFORMED in WHOLE_PLACEHOLDER.findall(text):
        for match in PLACEHOLDER.finditer(text):
            if match[0] == MALFORMED:
                yield str(_malformed_placeholder(match))


def render(value: Any, values: Mapping[str, Any], *, last: bool) -> Any:
    """Fills in the placeholders in the strings of `value`, as far as `values` has their first names.

    Other placeholders stay. A string that is one placeholder is replaced by what the placeholder names, with
    its JSON type; inside other text a string is inserted as it is and anything else as JSON. Names of fields
    are not rendered. `last` turns escapes into the text that they stand for. Raises `PlaceholderError` for a
    placeholder that is malformed or names a value that does not exist.
    """
    if isinstance(value, str):
        return _render_text(value, values, last) if "${" in value else value
    if isinstance(value, Mapping):
        return {name: render(inner, values, last=last) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [render(inner, values, last=last) for inner in value]
    return value


def lookup(names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    """Returns the value that a placeholder's `names` lead to.

    Raises `PlaceholderError` where there is no such value.
    """
    found: Any = values
    for index, name in enumerate(names):
        if not isinstance(found, Mapping) or name not in found:
            raise PlaceholderError(
                f"${{{shown(names)}}} names nothing: there is no {shown(names[: index + 1])}"
            )
        found = found[name]
    return found


def shown(names: tuple[str, ...]) -> str:
    """Joins a placeholder's names with dots for a message, cut to length: they may be very long."""
    text = ".".join(names)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _render_text(text: str, values: Mapping[str, Any], last: bool) -> Any:
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1]:
        names = tuple(whole[1].split("."))
        if names[0] not in values:
            return text
        found = lookup(names, values)
        return found if last else _escaped(found)

    filled = dict[str, str]()

    def fill(match: re.Match[str]) -> str:
        whole = match[0]
        if whole not in filled:
            filled[whole] = fill_first(match)
        return filled[whole]

    def fill_first(match: re.Match[str]) -> str:
        if match[0] == MALFORMED:
            raise _malformed_placeholder(match)
        if not match[1]:
            return LITERALS[match[0]] if last else match[0]
        names = tuple(match[1].split("."))
        if names[0] not in values:
            return match[0]
        found = lookup(names, values)
        inserted = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        return inserted if last else inserted.replace("$", DOLLAR) or NOTHING

    return PLACEHOLDER.sub(fill, text)


def _malformed_placeholder(match: re.Match[str]) -> PlaceholderError:
    hint = "write $${ for a literal ${" if "}" in match.string[match.start() :] else "its } is missing"
    return PlaceholderError(
        f"'{match.string[match.start() : match.start() + 20]}' is not a placeholder: {hint}"
    )


def _escaped(value: Any) -> Any:
    """Escapes the dollars in all strings of a value, so that a later rendering leaves them as they are."""
    if isinstance(value, str):
        return value.replace("$", DOLLAR)
    if isinstance(value, Mapping):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value
