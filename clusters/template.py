"""`${params.date}`, `${shard.index}`, `${shard.item.name}` in the strings of a task.

Rendering happens twice: the gateway fills in `params` once a run, the cluster `shard` for each shard. A value that was filled in is
never looked at again: its own `${` is escaped on the first pass and set free on the last. `$${` stands for a literal `${`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)+)\}|\$\{")
"""An escape, a placeholder, or a `${` that is neither: a mistake."""


class TemplateError(Exception):
    """A placeholder that names nothing, or is not one."""


def references(value: Any) -> Iterator[tuple[str, ...]]:
    """Every placeholder in `value`, at any depth, as the names between its dots. Raises `TemplateError` for a broken one."""
    if isinstance(value, str):
        for match in PLACEHOLDER.finditer(value):
            if match[1]:
                yield tuple(match[1].split("."))
            elif match[0] == "${":
                raise TemplateError(f"'{value[match.start() : match.start() + 20]}' is not a placeholder: write $${{ for a literal ${{")
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references(inner)


def render(value: Any, values: Mapping[str, Any], *, last: bool) -> Any:
    """`value` with every placeholder of the namespaces in `values` filled in; others stay for the next pass.

    A string that is one placeholder takes the value's own JSON type; inside other text a string goes in as it is, anything else as JSON.
    `last` sets escapes free. Raises `TemplateError`.
    """
    if isinstance(value, str):
        return _render_text(value, values, last) if "${" in value else value
    if isinstance(value, Mapping):
        return {name: render(inner, values, last=last) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [render(inner, values, last=last) for inner in value]
    return value


def _render_text(text: str, values: Mapping[str, Any], last: bool) -> Any:
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1]:
        names = tuple(whole[1].split("."))
        if names[0] not in values:
            return text
        found = lookup(names, values)
        return found if last else escape(found)

    def fill(match: re.Match[str]) -> str:
        if not match[1]:
            return "${" if last and match[0] == "$${" else match[0]
        names = tuple(match[1].split("."))
        if names[0] not in values:
            return match[0]
        found = lookup(names, values)
        filled = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        return filled if last else filled.replace("${", "$${")

    return PLACEHOLDER.sub(fill, text)


def lookup(names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    """What a placeholder names. Raises `TemplateError` where there is no such thing."""
    found: Any = values
    for index, name in enumerate(names):
        if not isinstance(found, Mapping) or name not in found:
            raise TemplateError(f"${{{'.'.join(names)}}} names nothing: there is no {'.'.join(names[: index + 1])}")
        found = found[name]
    return found


def escape(value: Any) -> Any:
    """A value that a later pass must leave as it is."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {name: escape(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [escape(inner) for inner in value]
    return value
