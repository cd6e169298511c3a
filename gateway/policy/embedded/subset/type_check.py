"""Checks that every call and operator gets arguments of the types it needs.

Where a call fails on its arguments, the virtual machine takes it for undefined: a rule that denies would let
in what it could not read. So the types must be known beforehand; in doubt, the rule is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from gateway.policy.bundle import Diagnostic
from gateway.policy.embedded.subset.builtins import SIGNATURES, literal_argument_errors
from gateway.policy.embedded.subset.scopes import Module, declarations
from gateway.policy.embedded.subset.syntax_tree import (
    COMPREHENSIONS,
    SyntaxNode,
    expressions,
    items,
    literal,
    only,
    path_of,
    word,
)
from gateway.policy.embedded.subset.type_inference import (
    Facts,
    Flow,
    RuleTypes,
    after_binding,
    bodies,
    operator,
)
from gateway.policy.embedded.subset.types import UNKNOWN, ValueType, fits, key, kinds, step

Found: TypeAlias = Iterator[tuple[SyntaxNode, str]]


def check_types(modules: Sequence[SyntaxNode], schemas: Mapping[str, ValueType]) -> list[Diagnostic]:
    """A diagnostic for each call and operator in `modules` that may fail on its arguments, sorted.

    `modules` are syntax trees; `schemas` are those of `input` and `data`, their references resolved.
    """
    packages = declarations(modules)
    rules = RuleTypes([Module(source, packages) for source in modules], schemas)
    found = ((flow.module.file, problem) for flow, rule in rules.every() for problem in _rule(flow, rule))
    return sorted({Diagnostic(file=file, line=span["line"], detail=detail) for file, (span, detail) in found})


def _rule(flow: Flow, rule: SyntaxNode) -> Found:
    kind, value = only(rule)
    for query, value_node in bodies(value) if kind != "Default" else ():
        yield from _query(flow, query, {}, [value_node])
        if (
            value_node is not None
            and _refuses(value)
            and not _reason(flow.type_of(value_node, flow.after_query(query, {})))
        ):
            yield (
                value["span"],
                'a refusal is {"rule": a stable id, "message": a sentence}: the gateway cannot read another',
            )


def _refuses(rule: SyntaxNode) -> bool:
    head_kind, head = only(rule["head"])
    return head_kind == "Set" and path_of(head["refr"])[0] == ["refusals"]


def _reason(type_: ValueType) -> bool:
    """True if a value of this type may be a reason, also where nothing is known of it."""
    known = kinds(type_)
    fields = (kinds(step(type_, name)) for name in ("rule", "message"))
    return UNKNOWN in known or ("object" in known and all(field & {"string", UNKNOWN} for field in fields))


def _query(flow: Flow, query: Any, facts: Facts, last: Sequence[SyntaxNode | None]) -> Found:
    for statement in query["stmts"] if query else ():
        kind, value = only(statement["literal"])
        if kind == "Every":
            held = flow.type_of(value["domain"], facts)
            inner = facts
            for part, type_ in (("key", key(held)), ("value", step(held, None))):
                if value.get(part):
                    inner = after_binding(
                        inner, {"Var": {"value": word(flow.module.text, value[part])}}, type_
                    )
            yield from _query(flow, value["query"], inner, ())
        if (through := value.get("domain", value.get("collection"))) is not None:
            yield from ((value["span"], detail) for detail in _call(flow, "in", [through], facts))
        yield from _expression(flow, value.get("expr", through), facts)
        facts = flow.after_statement(statement["literal"], facts)
    for node in last:
        yield from _expression(flow, node, facts)


def _expression(flow: Flow, node: Any, facts: Facts) -> Found:
    for kind, value in expressions(node, closed=COMPREHENSIONS):
        if kind in COMPREHENSIONS:
            yield from _query(
                flow, value["query"], facts, [value.get(part) for part in ("term", "key", "value")]
            )
        elif kind == "Call" and flow.module.rule(path_of(value["fcn"])[0]) is None:
            name = ".".join(path_of(value["fcn"])[0])
            yield from ((value["span"], detail) for detail in _call(flow, name, value["params"], facts))
        elif kind in ("ArithExpr", "BinExpr"):
            sides = [value["lhs"], value["rhs"]]
            name = operator(value, [flow.type_of(side, facts) for side in sides])
            yield from ((value["span"], detail) for detail in _call(flow, name, sides, facts))


def _call(flow: Flow, name: str, arguments: Sequence[SyntaxNode], facts: Facts) -> Iterator[str]:
    signature = SIGNATURES.get(name)
    if signature is None or len(signature.arguments) != len(arguments):
        return  # the gate says so
    for argument, wanted in zip(arguments, signature.arguments, strict=True):
        if not fits(type_ := flow.type_of(argument, facts), wanted):
            yield _wrong("some .. in" if name == "in" else name.replace("\\", "-"), wanted, type_)
    yield from literal_argument_errors(name, arguments)
    if name == "sprintf":
        verbs = (literal(arguments[0]) or "").replace("%%", "").split("%")[1:]
        for verb, item in zip(verbs, items(arguments[1]) or (), strict=False):
            if verb.startswith("d") and not fits(flow.type_of(item, facts), {"type": "integer"}):
                yield "%d of sprintf needs a whole number, and this may be something else: write %v"


def _wrong(name: str, wanted: ValueType, type_: ValueType) -> str:
    known = kinds(type_)
    if UNKNOWN not in known and not any(fits({"type": kind}, {"type": wanted["type"]}) for kind in known):
        return f"{name} needs {wanted['title']}, and this is something else"
    first = wanted["type"] if isinstance(wanted["type"], str) else wanted["type"][0]
    each = wanted["items"]["type"] if "items" in wanted else ""
    collect = (
        f"collect those that are, with [x | some x in ...; is_{each}(x)]"
        if each
        else f"test it first, with is_{first}(...)"
    )
    advice = wanted.get("description", collect)
    return f"{name} needs {wanted['title']}, and this may be something else: {advice}"
