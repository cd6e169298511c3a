"""Checks which constructs of Rego a module uses: those that were measured to be evaluated as OPA does.

The virtual machine (`Rvm` of regorus) is fast, and wrong where other evaluators stop: `x := input.absent` in
a body goes on with an undefined `x`, so a rule that should fail holds; a missing builtin shows only when it
is reached, and `not http.send(...)` is simply true; a rule that needs itself ends the process. So the syntax
tree of each module is checked first, and what lies outside the subset is refused with file and line.

Differences from OPA that no syntax tree shows are accepted: sums of fractions have the precision of a double,
`xs[1.0]` finds an element, an object sorts before a set, and `count` of a string counts some letters twice.
The types of arguments are checked in `type_check`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.policy.bundle import Diagnostic
from gateway.policy.embedded.subset.builtins import BUILTINS, REASONS, format_errors
from gateway.policy.embedded.subset.rule_conflicts import conflicts, cycles
from gateway.policy.embedded.subset.scopes import SCOPES, Locals, Module, declarations
from gateway.policy.embedded.subset.syntax_tree import (
    COMPREHENSIONS,
    LITERALS,
    REFERENCES,
    SyntaxNode,
    expressions,
    indices,
    names,
    only,
    parts,
    path_of,
)
from waypost.workflow.ijson_limits import EXACT

NEGATED: Final = (
    "below a `not` only what surely has a value may be called or compared: elsewhere a missing value fails, "
    "here it would hold. "
    "Make what is negated a rule of its own"
)


def check_constructs(modules: Sequence[SyntaxNode]) -> list[Diagnostic]:
    """A diagnostic for each construct in `modules` that is not in the subset, sorted by file and line.

    `modules` are the syntax trees of the parser.
    """
    packages = declarations(modules)
    found = [problem for source in modules for problem in _module(Module(source, packages))]
    return sorted({*found, *conflicts(packages), *cycles(modules)})


def _module(module: Module) -> Iterator[Diagnostic]:
    for rule in module.rules:
        own = Locals(module, rule)
        taken = [name for name in sorted(own.declared_names) if not module.local(name)]
        found = [
            (
                only(rule)[1]["span"],
                f"{name} cannot be a name of the rule's own here: it stands for something else",
            )
            for name in taken
        ]
        found += _rule(module, rule, own)
        for kind, value in expressions(parts(rule)):
            found += _expression(module, own, kind, value)
            if kind in SCOPES:
                found += _scope(module, value)
        for span, detail in found:
            yield Diagnostic(file=module.file, line=span["line"], detail=detail)


def _rule(module: Module, rule: SyntaxNode, own: Locals) -> Iterator[tuple[SyntaxNode, str]]:
    kind, value = only(rule)
    if kind == "Default":
        if value["args"]:
            yield (
                value["span"],
                "a default for a function is not honoured here: write a rule with the opposite condition",
            )
        elif only(value["value"])[0] not in LITERALS:
            yield value["span"], "the value of a default must be a plain one"
        return
    head_kind, head = only(value["head"])
    if only(head["refr"])[0] != "Var":
        yield (
            value["span"],
            "the name of a rule must be one word: references and keys in a head answer differently here",
        )
    if head_kind == "Set" and not module.defined(head["key"]):
        yield (
            value["span"],
            "what this set contains may be undefined, and would be added all the same: "
            "bind it in the body with =",
        )
    bodies = value["bodies"] or [{}]
    values = [
        assign and assign["value"]
        for assign in (head.get("assign"), *(body["assign"] for body in bodies[1:]))
    ]
    if any(one and not module.defined(one) for one in values[:-1]):
        yield (
            value["span"],
            "a value before an else may be undefined, and the else would not be tried: write two rules",
        )
    if any(own.loops(body.get("query")) for body in bodies[:-1]):
        yield (
            value["span"],
            "an else after a body with a `some` or an index without a value is not tried: write two rules",
        )
    for one, body in zip(values, bodies, strict=True):
        if one and own.loops([one, body.get("query")]) and own.varies(one):
            yield (
                value["span"],
                "this rule may have several values, and the last would be taken: make it a set, "
                "or leave its value out",
            )


def _expression(
    module: Module, own: Locals, kind: str, value: SyntaxNode
) -> Iterable[tuple[SyntaxNode, str]]:
    if kind == "Statement" and value.get("with_mods"):
        yield value["span"], "`with` is for tests"
    elif kind == "Call":
        yield from _call(module, value)
    elif kind == "NotExpr":
        if not _negatable(module, value["expr"]):
            yield value["span"], NEGATED
    elif kind == "AssignExpr" and value["op"] == "ColEq" and not module.defined(value["rhs"]):
        yield value["span"], ":= of a value that may be undefined does not fail here: write = instead"
    elif kind in COMPREHENSIONS:
        yield from _comprehension(module, own, kind, value)
    elif kind == "UnaryExpr":
        yield value["span"], "the unary minus is not safe here: subtract from 0"
    elif kind == "Number" and isinstance(value["value"], int) and value["value"] > EXACT:
        yield value["span"], "a number of more than 53 bits is rounded here: write it as a string"
    elif kind == "Var" or kind in REFERENCES:
        yield from _reference(module, own, {kind: value})


def _call(module: Module, call: SyntaxNode) -> Iterator[tuple[SyntaxNode, str]]:
    path, complete = path_of(call["fcn"])
    name, count = ".".join(path), len(call["params"])
    if complete and (declared := module.declared(path)):
        if not all(map(module.defined, call["params"])):
            yield (
                call["span"],
                f"an argument of {name} may be undefined, and it would be called all the same: "
                "bind it first with =",
            )
        if declared[0].kind != "Func":
            yield call["span"], f"{name} is not a function"
        elif count != declared[0].arity:
            yield call["span"], f"{name} wants {declared[0].arity} arguments, not {count}"
    elif name not in BUILTINS or not complete:
        yield (
            call["span"],
            f"{name} is not among the builtins of the embedded "
            f"engine{f': {REASONS[name]}' if name in REASONS else ''}",
        )
    elif count != BUILTINS[name]:
        yield call["span"], f"{name} wants {BUILTINS[name]} arguments, not {count}"
    else:
        yield from ((call["span"], detail) for detail in format_errors(name, call["params"]))


def _comprehension(
    module: Module, own: Locals, kind: str, value: SyntaxNode
) -> Iterator[tuple[SyntaxNode, str]]:
    if not all(module.defined(value[part]) for part in ("term", "key", "value") if part in value):
        yield (
            value["span"],
            "what this comprehension collects may be undefined, and would be kept: "
            "bind it in the body with =",
        )
    if kind == "ObjectCompr":
        ways = [statement for statement in value["query"]["stmts"] if own.loops(statement)]
        keys = [name for way in ways for name in names(way["literal"].get("SomeIn", {}).get("key"))]
        if len(ways) > 1 or (ways and keys != list(names(value["key"]))):
            yield (
                value["span"],
                "a key may come twice here, and the last would be taken: {k: v | some k, "
                "v in ..} has each once",
            )


def _scope(module: Module, scope: SyntaxNode) -> Iterator[tuple[SyntaxNode, str]]:
    """Errors for reads of `input` and `data` that come too late in a body.

    The evaluator loads each once in a body, where it is first named. If that is in a loop that is not
    entered, every later mention in the body is undefined, and `not input.banned` holds. What a loop goes
    through is read before it is entered.
    """
    first = scope["query"]["stmts"][0]["literal"]
    entered = module.roots([scope.get("domain"), first.get("SomeIn", {}).get("collection")], closed=SCOPES)
    if late := module.roots([scope.get(part) for part in ("term", "key", "value", "query")]) - entered:
        yield (
            scope["span"],
            f"{min(late)} is named within, and may be missing afterwards: bind what is needed of it before, "
            "with =",
        )


def _negatable(module: Module, node: SyntaxNode) -> bool:
    kind, value = only(node)
    if kind == "Var" or kind in REFERENCES:
        return _plain(module, node)
    if kind == "Call":
        return all(map(module.defined, value["params"]))
    if kind == "BoolExpr":
        return all(
            module.defined(side) or (value["op"] == "Eq" and _plain(module, side))
            for side in (value["lhs"], value["rhs"])
        )
    if kind == "Membership":
        return all(
            value[part] is None or module.defined(value[part]) for part in ("key", "value", "collection")
        )
    return module.defined(node)


def _plain(module: Module, node: SyntaxNode) -> bool:
    """True if `node` is a reference whose indices have values: only the reference itself can be undefined."""
    return path_of(node)[0] != ["?"] and all(
        module.defined(index) and "_" not in names(index) and only(index)[0] not in COMPREHENSIONS
        for index in indices(node)
    )


def _reference(module: Module, own: Locals, node: SyntaxNode) -> Iterator[tuple[SyntaxNode, str]]:
    """Errors for references that the two evaluators resolve differently.

    These are references to a package as a whole, to a rule by a computed name, and to names without a value.
    """
    path, _ = path_of(node)
    span, full = only(node)[1]["span"], ".".join(module.full(path))
    if only(node)[0] == "Var" and module.local(path[0]) and path[0] not in own.bound:
        yield (
            span,
            f"{path[0]} is not known here: no rule, no import, "
            "and nothing outside of a `not` gives it a value",
        )
    if any(declared.kind == "Func" for declared in module.declared(path)):
        yield span, f"{full} is a function: call it"
    if path[0] not in module.packages[module.package] and any(
        f"{package}.".startswith(f"{full}.") for package in module.packages
    ):
        yield span, f"{full} is not one rule, but a package or what holds one: name the rule"
