"""Finds rules that need themselves, and declarations of one rule that contradict each other."""

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from gateway.policy.bundle import Diagnostic
from gateway.policy.embedded.subset.scopes import Declaration, Module, Packages, declarations
from gateway.policy.embedded.subset.syntax_tree import SyntaxNode, only, parts, path_of


def cycles(modules: Sequence[SyntaxNode]) -> list[Diagnostic]:
    """A diagnostic for the first cycle of rules that need each other; empty if there is none.

    Both evaluators recurse on a cycle until the process ends, which cannot be caught.
    """
    packages = declarations(modules)
    needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for module in (Module(source, packages) for source in modules):
        for rule, named in zip(module.rules, map(_rule_name, module.rules), strict=True):
            needs.setdefault((module.package, named), set()).update(module.references(parts(rule)))
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = [".".join(rule) for rule in reversed(error.args[1])]
        package, name = min(error.args[1])
        start = circle.index(f"{package}.{name}")
        circle = [*circle[start:-1], *circle[:start], circle[start]]
        first = packages[package][name][0]
        return [
            Diagnostic(
                file=first.file, line=first.line, detail=f"a rule cannot need itself: {' -> '.join(circle)}"
            )
        ]
    return []


def conflicts(packages: Packages) -> Iterator[Diagnostic]:
    """Diagnostics for declarations of one rule that contradict each other.

    They differ in kind, may give two values at once, or have the name of a package.
    """
    for package, rules in packages.items():
        for name, found in rules.items():
            defaults = [one for one in found if one.kind == "Default"]
            if len(defaults) > 1:
                yield _diagnostic(defaults[1], f"{name} has a second default")
            if (
                len(
                    {
                        ("Compr" if one.kind == "Default" and not one.arity else one.kind, one.arity)
                        for one in found
                    }
                )
                > 1
            ):
                yield _diagnostic(
                    found[-1],
                    f"{name} is declared in two ways: as a value, a set or a function, "
                    "or with other arguments",
                )
            yield from _conflicting_values(name, [one for one in found if one.kind == "Compr"])
            if any(f"{other}.".startswith(f"{package}.{name}.") for other in packages):
                yield _diagnostic(found[0], f"{package}.{name} is a package too: give the rule another name")


def _conflicting_values(name: str, found: Sequence[Declaration]) -> Iterator[Diagnostic]:
    """Diagnostics for declarations that may give a rule two values at once.

    Two values are an error in OPA, and undefined in regorus' `Rvm`. Whether conditions exclude each other is
    not worked out. Within one file the author sees them all, so only values without a condition are refused
    there.
    """
    for one in found[1:] if any(one.valued for one in found) else ():
        if one.file != found[0].file:
            yield _diagnostic(
                one,
                f"{name} has a value in {found[0].file} too, and may get two at once: "
                "keep them in one file, or use another name",
            )
        elif one.always or found[0].always:
            yield _diagnostic(
                one,
                f"{name} has a value in line {found[0].line} too, and may get two at once: write a default, "
                "or an else",
            )


def _diagnostic(declared: Declaration, detail: str) -> Diagnostic:
    return Diagnostic(file=declared.file, line=declared.line, detail=detail)


def _rule_name(rule: Any) -> str:
    kind, value = only(rule)
    return path_of(value["refr"] if kind == "Default" else only(value["head"])[1]["refr"])[0][0]
