"""Compares the texts of two policy bundles: lists the files, rules and data values that differ."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.policy.bundle import DATA_FILE, Bundle
from gateway.policy.embedded.interpreter import parse_modules
from gateway.policy.embedded.syntax_tree import extent, head_of
from gateway.policy.source import BundleError

DATA_MAXIMUM: Final = 100
"""The maximum number of differing data values that are listed."""


class TextChange(Struct, frozen=True, kw_only=True):
    """A file that differs between two policy bundles, with the names of the rules or data that differ."""

    file: str
    kind: str
    """The kind of change: `added`, `removed` or `changed`."""
    parts: tuple[str, ...]
    """The names of the rules, or pointers to the values, that differ.

    Empty where nothing but comments and spaces differs, and where a module cannot be read here.
    """


def text_changes(old: Bundle, new: Bundle) -> list[TextChange]:
    """Returns every file that differs between two policy bundles, ordered by name."""
    before, after = dict(old.source.modules), dict(new.source.modules)
    rules_before, rules_after = _rule_texts(old), _rule_texts(new)
    changes = [
        TextChange(
            file=file,
            kind=_kind(file, before, after),
            parts=tuple(sorted(_differing(rules_before.get(file, {}), rules_after.get(file, {})))),
        )
        for file in sorted(_differing(before, after))
    ]
    values = (msgspec.json.decode(bundle.source.data) for bundle in (old, new))
    if pointers := sorted(set(_differing_pointers("", *values))):
        changes.append(TextChange(file=DATA_FILE, kind="changed", parts=tuple(pointers[:DATA_MAXIMUM])))
    return changes


def _kind(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "added" if name not in before else "removed" if name not in after else "changed"


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _rule_texts(bundle: Bundle) -> dict[str, dict[str, list[str]]]:
    """Returns the texts of each rule's definitions, by file, then by the rule's full name."""
    try:
        modules = parse_modules(bundle.source.modules)
    except BundleError:
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    for module in modules:
        for rule in module.rules:
            name = ".".join(module.resolve(head_of(rule)["refr"]))
            start, end = extent(module, rule)
            text = " ".join(module.text[start:end].decode().split())
            found.setdefault(module.file, {}).setdefault(name, []).append(text)
    return found


def _differing_pointers(place: str, before: Any, after: Any) -> Iterator[str]:
    """Yields the JSON pointers, below `place`, of the values that differ between two JSON values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            part = name.replace("~", "~0").replace("/", "~1")
            if name in before and name in after:
                yield from _differing_pointers(f"{place}/{part}", before[name], after[name])
            else:
                yield f"{place}/{part}"
    elif before != after or type(before) is not type(after):
        yield place
