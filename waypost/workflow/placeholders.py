"""Fills in placeholders in the strings of a task: `${params.date}`, `${shard.index}`, `${tasks.a.output.n}`.

A task is rendered twice: the gateway fills in `params` once a run, and `${status}` in tasks of `finally`; the
cluster fills in `shard`, and the outputs of tasks, when the task starts. The second rendering must not
interpret what the first has filled in. So the first escapes values: each dollar becomes `${$}` and an empty
text becomes `${}`, and the last turns these back. In a document `$${` therefore stands for a literal `${`,
`${$}` for a literal `$` (as in `${$}${params.price}`), and `${}` for an empty text.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

import msgspec

DOLLAR: Final = "${$}"
NOTHING: Final = "${}"
PLACEHOLDER: Final = re.compile(
    r"\$\$\{|\$\{\$?\}"
    r"|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)+|tasks(?:\.[A-Za-z0-9_-]*)+|item|index|status)\}"
    r"|\$\{"
)
"""Matches an escape, a dollar or empty text, a placeholder, or (last) a malformed `${`.

The name of a task may have a dot at its ends, and two in a row.
"""

WHOLE_PLACEHOLDER: Final = re.compile(PLACEHOLDER.pattern.replace("([", "(?:["))
"""Matches what `PLACEHOLDER` does, but without a capturing group."""

TASK_NAME_CHARACTERS: Final = 128
FILLED_CHARACTERS: Final = 262_144
"""The most characters that outputs and items may add to one task through placeholders.

A task that needs more reads it from its input.
"""
BOUNDED: Final = frozenset({"tasks", "item"})
"""The first names of placeholders whose values are known, and so measured, only when a task starts."""
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


def lone_placeholder(text: str) -> tuple[str, ...] | None:
    """Returns the names of the placeholder that is all of `text`; None if it is something else."""
    whole = PLACEHOLDER.fullmatch(text)
    return tuple(whole[1].split(".")) if whole is not None and whole[1] else None


def malformed(text: str) -> Iterator[str]:
    """Yields an error message for each `${` in `text` that begins no valid placeholder."""
    if MALFORMED in WHOLE_PLACEHOLDER.findall(text):
        for match in PLACEHOLDER.finditer(text):
            if match[0] == MALFORMED:
                yield str(_malformed_placeholder(match))


def render(value: Any, values: Mapping[str, Any], *, last: bool, maximum: int | None = None) -> Any:
    """Fills in the placeholders in the strings of `value`, as far as `values` has their first names.

    Other placeholders stay. A string that is one placeholder is replaced by what the placeholder names, with
    its JSON type; inside other text a string is inserted as it is and anything else as JSON. Names of fields
    are not rendered. `values["tasks"]` has the outputs of tasks by their names. `last` turns escapes into the
    text that they stand for. Raises `PlaceholderError` for a placeholder that is malformed or names a value
    that does not exist, and where outputs and items would add more than `maximum` characters.
    """
    return _Rendering(values, last=last, maximum=maximum).value(value)


def lookup(names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    """Returns the value that a placeholder's `names` lead to.

    Raises `PlaceholderError` where there is no such value.
    """
    if names[0] == "tasks" and "tasks" in values:
        return _output(names, values["tasks"])
    return _descend(names, 0, values)


def output_reference(names: tuple[str, ...], tasks: Container[str]) -> tuple[str, tuple[str, ...]] | None:
    """Returns the task whose output a placeholder reads, and the path within that output.

    `names` begin with "tasks", and `tasks` are the names that the task may have; None if it is none of them.
    A name may have dots, and may itself end in `.output`: the longest that fits is meant.
    """
    found = None
    for end in range(2, min(len(names), TASK_NAME_CHARACTERS + 2)):
        if names[end] == "output" and (name := ".".join(names[1:end])) in tasks:
            found = name, names[end + 1 :]
    return found


def _output(names: tuple[str, ...], outputs: Mapping[str, Any]) -> Any:
    found = output_reference(names, outputs)
    if found is None:
        raise PlaceholderError(f"${{{shown(names)}}} names nothing: its task does not need such a task")
    task, path = found
    output = outputs[task]
    if path and output is None:
        raise PlaceholderError(f"${{{shown(names)}}} names nothing: the output of {task} is null")
    return _descend(names, len(names) - len(path), output)


def _descend(names: tuple[str, ...], begin: int, found: Any) -> Any:
    """Follows `names` from the one numbered `begin` on into `found`; a number leads into an array."""
    for index, name in enumerate(names[begin:], begin):
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list | tuple) and _is_index(name, found):
            found = found[int(name)]
        else:
            raise PlaceholderError(
                f"${{{shown(names)}}} names nothing: there is no {shown(names[: index + 1])}"
            )
    return found


def _is_index(name: str, array: list[Any] | tuple[Any, ...]) -> bool:
    # Short: the number of a million digits would take seconds to read.
    return (
        name.isascii() and name.isdecimal() and len(name) <= len(str(len(array))) and int(name) < len(array)
    )


def shown(names: tuple[str, ...]) -> str:
    """Joins a placeholder's names with dots for a message, cut to length: they may be very long."""
    text = ".".join(names)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


class _Rendering:
    """Fills in the placeholders of one value, and counts the characters that outputs and items add.

    Each is looked up and encoded once, however often it is used.
    """

    def __init__(self, values: Mapping[str, Any], *, last: bool, maximum: int | None) -> None:
        self._values, self._last, self._maximum = values, last, maximum
        self._left = maximum or 0
        self._texts: dict[str, str] = {}
        """The texts that placeholders stand for, by the placeholder."""
        self._filled: dict[str, tuple[str, int]] = {}
        """What replaces each text that was matched, and how many characters of it count."""

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if "${" in value else value
        if isinstance(value, Mapping):
            return {name: self.value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def _text(self, text: str) -> Any:
        names = lone_placeholder(text)
        if names is None:
            return PLACEHOLDER.sub(self._fill, text)
        if names[0] not in self._values:
            return text
        found = lookup(names, self._values)
        if self._maximum is not None and names[0] in BOUNDED:
            self._spend(len(self._inserted(text, names)))
        return found if self._last else _escaped(found)

    def _fill(self, match: re.Match[str]) -> str:
        whole = match[0]
        if whole not in self._filled:
            self._filled[whole] = self._fill_first(match)
        text, measured = self._filled[whole]
        if measured:
            self._spend(measured)
        return text

    def _fill_first(self, match: re.Match[str]) -> tuple[str, int]:
        """Returns the text that replaces a match, and the characters of it that count against the maximum."""
        whole = match[0]
        if whole == MALFORMED:
            raise _malformed_placeholder(match)
        if not match[1]:
            return (LITERALS[whole] if self._last else whole), 0
        names = tuple(match[1].split("."))
        if names[0] not in self._values:
            return whole, 0
        inserted = self._inserted(whole, names)
        measured = len(inserted) if self._maximum is not None and names[0] in BOUNDED else 0
        return (inserted if self._last else inserted.replace("$", DOLLAR) or NOTHING), measured

    def _inserted(self, whole: str, names: tuple[str, ...]) -> str:
        """Returns the text that a placeholder is replaced by within other text."""
        if whole not in self._texts:
            found = lookup(names, self._values)
            self._texts[whole] = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        return self._texts[whole]

    def _spend(self, characters: int) -> None:
        # Before the text is joined: a long output in a thousand strings is never held a thousand times.
        self._left -= characters
        if self._left < 0:
            raise PlaceholderError(
                f"outputs and items that its placeholders fill in have more than {self._maximum} characters"
                " in all: read them from the file in WAYPOST_INPUT"
            )


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
