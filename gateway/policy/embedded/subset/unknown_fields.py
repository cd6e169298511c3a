"""Finds names in rules that input, data and packages do not have.

A misspelt field is always undefined, so its rule never holds, or always.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.policy.bundle import Diagnostic
from gateway.policy.embedded.subset.scopes import Module, declarations
from gateway.policy.embedded.subset.syntax_tree import (
    REFERENCES,
    SyntaxNode,
    expressions,
    only,
    parts,
    path_of,
    steps_of,
)
from waypost.suggestions import closest


def check_fields(modules: Sequence[SyntaxNode], schemas: Mapping[str, Any]) -> list[Diagnostic]:
    """A diagnostic for each reference to a field that `input` or `data` does not have, or to a missing rule.

    `schemas` has both schemas by name, their references resolved. What a schema leaves open is permitted.
    """
    packages = declarations(modules)
    found = set()
    for module in (Module(source, packages) for source in modules):
        for node in _references(module):
            if detail := _unknown(module, node, schemas):
                found.add(Diagnostic(file=module.file, line=only(node)[1]["span"]["line"], detail=detail))
    return sorted(found)


def _references(module: Module) -> Iterator[SyntaxNode]:
    yield from (node["refr"] for node in module.imports)
    for kind, value in expressions([parts(rule) for rule in module.rules]):
        if kind == "Var" or kind in REFERENCES:
            yield {kind: value}


def _unknown(module: Module, node: SyntaxNode, schemas: Mapping[str, Any]) -> str:
    path = path_of(node)[0]
    if module.rule(path) is not None or module.local(path[0]):
        return ""
    written: list[str | None] = [*module.full(path[:1]), *steps_of(node)[1:]]
    root, rest = str(written[0]), written[1:]
    if root == "data" and any(
        rest and f"{package}.".startswith(f"data.{rest[0]}.") for package in module.packages
    ):
        return _no_rule(module, ".".join(module.full(path)))
    return _no_field(root, rest, schemas.get(root))


def _no_rule(module: Module, name: str) -> str:
    if any(f"{package}.".startswith(f"{name}.") for package in module.packages):
        return ""  # a package, which the gate knows about
    return f"there is no rule {name}" + _guess(
        name, [f"{package}.{rule}" for package, rules in module.packages.items() for rule in rules]
    )


def _no_field(name: str, steps: Sequence[str | None], schema: Any) -> str:
    for step in steps:
        if not isinstance(schema, dict):
            return ""
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        if step in known:
            schema = known[step]
        elif isinstance(more, dict):
            schema = more
        elif step is None:
            schema = schema.get("items")
        elif more is False:
            return f"{name} has no field {step}" + _guess(step, known)
        else:
            return ""
        name = f"{name}.{step}" if step is not None else f"{name}[..]"
    return ""


def _guess(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = closest(name, known)
    return f": did you mean {close}?" if close else ""
