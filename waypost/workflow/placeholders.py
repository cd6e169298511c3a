"""`${params.date}`, `${shard.index}`, `${shard.item.name}` in the strings of a task.

Rendering happens twice: the gateway fills in `params` once a run, the cluster `shard` for each shard. A value that was filled in is
never looked at again, nor can it become part of a placeholder with the text around it, nor leave one alone: the first pass writes each
of its dollars as `${$}` and an empty text as `${}`, which the last sets free. So `$${` stands for a literal `${`, `${$}` for a literal
`$` (as in `${$}${params.price}`), and `${}` for nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

DOLLAR: Final = "${$}"
NOTHING: Final = "${}"
PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{\$?\}|\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)+)\}|\$\{")
"""An escape, a dollar or nothing, a placeholder, or a `${` that is none of them: a mistake."""

LITERALS: Final[Mapping[str, str]] = {"$${": "${", DOLLAR: "$", NOTHING: ""}


class TemplateError(Exception):
    """A placeholder that names nothing, or is not one."""


def references(text: str) -> Iterator[tuple[str, ...]]:
    """Every placeholder in `text`, as the names between its dots. A broken one is among `mistakes`."""
    return (tuple(match[1].split(".")) for match in PLACEHOLDER.finditer(text) if match[1])


def mistakes(text: str) -> Iterator[str]:
    """What is wrong with each `${` in `text` that begins no placeholder."""
    return (str(_mistake(match)) for match in PLACEHOLDER.finditer(text) if match[0] == "${")


def render(value: Any, values: Mapping[str, Any], *, last: bool) -> Any:
    """`value` with every placeholder of the namespaces in `values` filled in; others stay for the next pass.

    A string that is one placeholder takes the value's own JSON type; inside other text a string goes in as it is, anything else as JSON.
    Names of fields are left alone. `last` sets literals free. Raises `TemplateError`.
    """
    if isinstance(value, str):
        return _render_text(value, values, last) if "${" in value else value
    if isinstance(value, Mapping):
        return {name: render(inner, values, last=last) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [render(inner, values, last=last) for inner in value]
    return value


def lookup(names: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    """What a placeholder names. Raises `TemplateError` where there is no such thing."""
    found: Any = values
    for index, name in enumerate(names):
        if not isinstance(found, Mapping) or name not in found:
            raise TemplateError(
                f"${{{'.'.join(names)}}} names nothing: there is no {'.'.join(names[: index + 1])}"
            )
        found = found[name]
    return found


def _render_text(text: str, values: Mapping[str, Any], last: bool) -> Any:
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1]:
        names = tuple(whole[1].split("."))
        if names[0] not in values:
            return text
        found = lookup(names, values)
        return found if last else _kept(found)

    def fill(match: re.Match[str]) -> str:
        if match[0] == "${":
            raise _mistake(match)
        if not match[1]:
            return LITERALS[match[0]] if last else match[0]
        names = tuple(match[1].split("."))
        if names[0] not in values:
            return match[0]
        found = lookup(names, values)
        filled = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        return filled if last else filled.replace("$", DOLLAR) or NOTHING

    return PLACEHOLDER.sub(fill, text)


def _mistake(match: re.Match[str]) -> TemplateError:
    hint = "write $${ for a literal ${" if "}" in match.string[match.start() :] else "its } is missing"
    return TemplateError(f"'{match.string[match.start() : match.start() + 20]}' is not a placeholder: {hint}")


def _kept(value: Any) -> Any:
    """A value that a later pass must leave as it is."""
    if isinstance(value, str):
        return value.replace("$", DOLLAR)
    if isinstance(value, Mapping):
        return {name: _kept(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_kept(inner) for inner in value]
    return value
