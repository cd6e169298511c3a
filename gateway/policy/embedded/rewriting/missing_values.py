"""Finds the parts of a Rego expression that may be undefined and that OPA evaluates before the expression.

OPA gives the expression no value then; regorus 0.13 gives it one: `not f(input.absent)` is true, and
`[input.absent in xs]` is [false].
"""

from typing import Final

from gateway.policy.embedded.syntax_tree import (
    COMPREHENSIONS,
    LITERALS,
    NESTED,
    REFERENCES,
    Module,
    SyntaxNode,
    expressions,
    indices,
    only,
)

_MEMBERSHIP: Final = ("key", "value", "collection")
_OPERANDS: Final = (*_MEMBERSHIP, "lhs", "rhs")


def evaluated_before_negation(module: Module, node: SyntaxNode) -> list[SyntaxNode]:
    """Returns the parts of a negated expression that OPA evaluates before the negation."""
    kind, value = only(node)
    operands: list[SyntaxNode] = []
    if kind == "Call":
        operands = value["params"]
    elif kind == "AssignExpr" or (kind == "BoolExpr" and value["op"] == "Eq"):
        # What is compared by == is a part of the comparison, unless it is computed.
        for side in (value["lhs"], value["rhs"]):
            operands += indices(side) if _is_reference(side) else [side]
    elif kind in ("BoolExpr", "ArithExpr", "BinExpr", "Membership"):
        operands = [value[name] for name in _OPERANDS if value.get(name)]
    elif _is_reference(node):
        operands += indices(node)
    elif kind in ("Array", "Set", "Object"):
        operands = [node]
    return [operand for operand in operands if not has_value(module, operand)]


def missing_in_memberships(module: Module, node: SyntaxNode) -> list[SyntaxNode]:
    """Returns the operands that may be undefined of each `a in b` inside an expression.

    Those of the expression itself are left out, and those in nested queries.
    """
    kind, value = only(node)
    inner = [value[name] for name in _MEMBERSHIP if value.get(name)] if kind == "Membership" else [node]
    return [
        operand
        for kind, value in expressions(inner, closed=NESTED)
        if kind == "Membership"
        for operand in (value[name] for name in _MEMBERSHIP if value.get(name))
        if not has_value(module, operand)
    ]


def has_value(module: Module, node: SyntaxNode) -> bool:
    """Returns whether `node` is sure to have a value: it is a literal, a local name or a comprehension."""
    kind, value = only(node)
    if kind == "Var":
        return value["value"] not in (*module.names, "input", "data")
    if kind in ("Array", "Set"):
        return all(has_value(module, item) for item in value["items"])
    if kind == "Object":
        return all(has_value(module, key) and has_value(module, item) for _, key, item in value["fields"])
    return kind in LITERALS or kind in COMPREHENSIONS


def _is_reference(node: SyntaxNode) -> bool:
    return only(node)[0] == "Var" or only(node)[0] in REFERENCES
