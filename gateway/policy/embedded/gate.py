"""Finds Rego rules that regorus evaluates differently from OPA in strict mode, or on which it crashes.

Rules that it evaluates as OPA does after a small change of their text are left to `rewriting`. A diagnostic
names file and line, and says that the rules work on OPA.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final, TypeAlias

from gateway.policy.embedded.builtins import BUILTINS, Support
from gateway.policy.embedded.replaced_builtins import PATTERN_BUILTINS, pattern_error
from gateway.policy.embedded.rewriting.missing_values import missing_in_memberships
from gateway.policy.embedded.syntax_tree import (
    COMPREHENSIONS,
    NESTED,
    REFERENCES,
    DeclaredNames,
    Module,
    SyntaxNode,
    bound_walks,
    expressions,
    extent,
    head_of,
    indices,
    is_comprehension,
    is_plain,
    is_walk,
    literal,
    loops_over,
    names_in,
    only,
    parts,
    read_rule,
)
from gateway.policy.source import Diagnostic

WORKS_ON_OPA: Final = " (it works on OPA: set policy.engine, or engine: opa in the bundle)"

NOT_HERE: Final = " is not here: "
NEITHER: Final = "on OPA neither"
OPEN_OBJECT: Final = "an object with names in a pattern would match objects with more fields: name each field"
MAY_BE_MISSING: Final = "`in`, of what may be missing, inside another expression: give it a name in a body"

Path: TypeAlias = tuple[str, ...]
Problem: TypeAlias = tuple[SyntaxNode, str]
"""A problem: its place in the text (a span), and its description."""


def check_rules(modules: Sequence[Module]) -> list[Diagnostic]:
    """Returns a diagnostic for each place in `modules` that the embedded engine evaluates unlike OPA."""
    defined = {module.resolve(head_of(rule)["refr"]) for module in modules for rule in module.rules}
    found = {
        Diagnostic(
            file=module.file, line=span["line"], detail=detail + WORKS_ON_OPA * (NEITHER not in detail)
        )
        for module in modules
        for rule in module.rules
        for span, detail in _rule(module, rule, defined)
    }
    return sorted(found | set(recursion(modules)))


def nondeterministic_calls(modules: Sequence[Module]) -> list[Diagnostic]:
    """Returns a diagnostic for each call of a Rego builtin whose result depends on more than its arguments.

    A decision must depend on its input alone, whichever engine makes it: no clock, no chance, no network.
    """
    detail = "{} is refused, since a decision depends on its input alone: {}"
    return sorted(
        Diagnostic(file=file, line=line, detail=detail.format(name, BUILTINS[name].note))
        for name, file, line in _calls(modules)
        if name in BUILTINS and BUILTINS[name].support is Support.NEVER
    )


def called_names(modules: Iterable[Module]) -> set[str]:
    """Returns the names of the functions, builtins and others, that the Rego modules call."""
    return {name for name, _, _ in _calls(modules)}


def _calls(modules: Iterable[Module]) -> set[tuple[str, str, int]]:
    """Returns every call in the Rego modules, as the function's name, the file and the line."""
    return {
        (_builtin(module, value), module.file, value["span"]["line"])
        for module in modules
        for kind, value in expressions([parts(rule) for rule in module.rules])
        if kind == "Call"
    }


def _rule(module: Module, rule: SyntaxNode, defined: set[Path]) -> Iterator[Problem]:
    head, span = head_of(rule), only(rule)[1]["span"]
    found, declared = read_rule(module, rule)
    for name in sorted(declared.some & module.names.keys()):
        yield span, f"`some {name}`: {name} is a rule or an import too, which would be taken instead"
    if {"input", "data"} & set(names_in(head.get("args") or [])):
        yield span, "an argument is named input or data"
    yield from _open_objects(module, head, [("Head", {"span": span}), *found], declared)
    yield from _bodies(module, only(rule)[1].get("bodies") or [], head, declared.single)
    statements = [one for kind, value in found if kind == "query" for one in value["stmts"]]
    bound = [walk for one in statements for walk in bound_walks(one)]
    for kind, value in found:
        if kind == "Call":
            yield from _call(module, value, defined)
            if is_walk({kind: value}) and {kind: value} not in bound:
                yield (
                    value["span"],
                    "the values of `walk` have no name here: write walk(x, [p, v])",
                )
        elif kind in NESTED or kind == "SomeIn":
            # Not its query, whose statements are rewritten.
            outside = {name: part for name, part in value.items() if name != "query"}
            if missing_in_memberships(module, {"Value": outside}):
                yield value["span"], MAY_BE_MISSING
        elif kind == "UnaryExpr":
            yield value["span"], "a minus before what is no number: subtract from 0"
        elif kind == "NotExpr" and "_" in _names_outside_comprehensions(value["expr"]):
            yield value["span"], f"`_` below a `not` is not safe, {NEITHER}: make what is negated a rule"


def _bodies(
    module: Module, bodies: Sequence[SyntaxNode], head: SyntaxNode, single: frozenset[str]
) -> Iterator[Problem]:
    """Yields the problems of a rule's bodies as such, and of the values of a rule with `else`."""
    values = [head.get("assign") or {}, *(body["assign"] or {} for body in bodies)] if len(bodies) > 1 else []
    loops = [only(loop) for value in values for loop in loops_over(value, single)]
    # One behind which nothing is looked up has a value each time.
    if any(kind == "RefDot" or not is_plain(reference["refr"]) for kind, reference in loops):
        yield bodies[0]["span"], "a loop in a value of a rule with `else`: write it in the body"
    if any(missing_in_memberships(module, {"Value": value}) for value in values):
        yield bodies[0]["span"], MAY_BE_MISSING
    for body in bodies:
        if is_comprehension(module, body["query"]):
            yield body["query"]["span"], "`{ a | b` begins a comprehension on OPA: write `(a | b)`"


def _open_objects(
    module: Module, head: SyntaxNode, found: Sequence[tuple[str, SyntaxNode]], declared: DeclaredNames
) -> Iterator[Problem]:
    """Yields a problem for each object in a pattern that may bind names: larger ones would match."""
    given = Counter((*declared.own, *module.names, "input", "data"))
    given.update(name for kind, value in found for name in names_in(_binding(kind, value)))
    for kind, value in found:
        patterns: Sequence[SyntaxNode | None] = ()
        bound = frozenset[str]()
        if kind == "Head":
            patterns = head.get("args") or []
        elif kind == "SomeIn":
            patterns = [value["key"], value["value"]]
        elif kind == "AssignExpr" and value["op"] == "ColEq":
            patterns = [value["lhs"]]
        elif kind == "AssignExpr":
            sides, bound = _binding(kind, value), declared.single | {"input", "data"}
            # What gets its value nowhere else is built here of what has one.
            if not any(only(side)[0] == "Var" and given[only(side)[1]["value"]] == 1 for side in sides):
                patterns = sides
        if any(_is_open_object(pattern, bound) for pattern in patterns):
            yield value["span"], OPEN_OBJECT


def _binding(kind: str, value: SyntaxNode) -> list[SyntaxNode]:
    """Returns the parts of an expression by which names may get values, other than what declares them."""
    if kind == "AssignExpr" and value["op"] == "Eq":
        return [value["lhs"], value["rhs"]]
    if kind in REFERENCES:
        return list(indices({kind: value}))
    # A call gives its result to a name behind its arguments.
    return value["params"][-1:] if kind == "Call" else []


def _is_open_object(pattern: SyntaxNode | None, bound: frozenset[str]) -> bool:
    """Returns whether a pattern is or has an object with other names than those in `bound`."""
    kind, value = only(pattern) if pattern else ("", {})
    if kind == "Array":
        return any(_is_open_object(item, bound) for item in value["items"])
    return kind == "Object" and not bound.issuperset(names_in(value["fields"]))


def _call(module: Module, call: SyntaxNode, defined: set[Path]) -> Iterator[Problem]:
    name, span = _builtin(module, call), call["span"]
    if b"\n" in module.text[extent(module, call["fcn"])[1] :].partition(b"(")[0]:
        yield (
            span,
            "a line that begins with `(` is read as arguments of the one before: write `;` there",
        )
    elif name in BUILTINS:
        known = BUILTINS[name]
        if known.support is Support.REFUSED:
            yield span, f"{name}{NOT_HERE}{known.note}"
    elif module.resolve(call["fcn"]) not in defined:
        yield span, f"{name}{NOT_HERE}absent, or misspelt"
    # Written in the rule, a broken pattern would fail in each decision.
    if name in PATTERN_BUILTINS:
        pattern = literal(call["params"][name == "regex.replace"])
        if pattern is not None and (error := pattern_error(pattern)):
            yield span, f"{name}: {error} ({NEITHER})"


def _builtin(module: Module, call: SyntaxNode) -> str:
    return ".".join(module.resolve(call["fcn"]))


def _names_outside_comprehensions(tree: SyntaxNode) -> set[str]:
    return {value["value"] for kind, value in expressions(tree, closed=COMPREHENSIONS) if kind == "Var"}


def recursion(modules: Sequence[Module]) -> Iterator[Diagnostic]:
    """Yields a diagnostic for the first recursion among Rego rules: to evaluate one would end the process.

    A reference to a package, or with a computed step, counts as a reference to every rule that it may mean.
    """
    graph, places = rule_dependencies(modules)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1][:0:-1]
        start = circle.index(min(circle, key=lambda path: places[path]))
        names = [".".join(path) for path in (*circle[start:], *circle[: start + 1])]
        file, line = places[circle[start]]
        yield Diagnostic(
            file=file, line=line, detail=f"a rule cannot need itself, {NEITHER}: {' -> '.join(names)}"
        )


def unused_rules(modules: Sequence[Module], entry_points: Iterable[str]) -> list[Diagnostic]:
    """Returns a diagnostic for each Rego rule that no entry point needs: it changes no policy decision."""
    graph, places = rule_dependencies(modules)
    used = _needed(graph, entry_points)
    return sorted(
        Diagnostic(file=file, line=line, detail=f"{'.'.join(path)} is used by no decision")
        for path, (file, line) in places.items()
        if path not in used
    )


def _needed(graph: Mapping[Path, set[Path]], entry_points: Iterable[str]) -> set[Path]:
    """Returns the given entry points and every rule on which they may depend, directly or not."""
    open_, needed = [tuple(name.split(".")) for name in entry_points], set[Path]()
    while open_:
        if (path := open_.pop()) not in needed:
            needed.add(path)
            open_ += graph.get(path, ())
    return needed


def rule_dependencies(modules: Sequence[Module]) -> tuple[dict[Path, set[Path]], dict[Path, tuple[str, int]]]:
    """Returns the dependency graph of Rego rules, and each rule's file and line of first declaration."""
    named: dict[Path, set[Path]] = {}
    places: dict[Path, tuple[str, int]] = {}
    for module in modules:
        for rule in module.rules:
            path = module.resolve(head_of(rule)["refr"])
            places.setdefault(path, (module.file, only(rule)[1]["span"]["line"]))
            named.setdefault(path, set()).update(_references(module, rule))
    below: dict[Path, list[Path]] = {}
    for path in named:
        for length in range(1, len(path) + 1):
            below.setdefault(path[:length], []).append(path)
    meant = {name: _meant(name, named, below) for names in named.values() for name in names}
    graph = {path: {rule for name in names for rule in meant[name]} for path, names in named.items()}
    return graph, places


def _references(module: Module, rule: SyntaxNode) -> Iterator[Path]:
    found, declared = read_rule(module, rule)
    for kind, value in found:
        node = value["fcn"] if kind == "Call" else {kind: value}
        if kind in ("Call", "Var") or kind in REFERENCES:
            yield module.resolve(node, declared.own)


def _meant(reference: Path, rules: Container[Path], below: Mapping[Path, list[Path]]) -> list[Path]:
    """Returns the rules that the path `reference` may read: of this name, below it, or above it.

    A reference to a package reads the rules below; `data.a.rule.field` reads a part of the rule above.
    """
    if reference[0] != "data":
        return []
    above = [reference[:length] for length in range(1, len(reference)) if reference[:length] in rules]
    return [*below.get(reference, ()), *above]
