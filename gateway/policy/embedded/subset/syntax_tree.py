"""Reads the syntax trees of regorus' parser: finds parts of them and walks through all expressions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

SyntaxNode: TypeAlias = Mapping[str, Any]

REFERENCES: Final = frozenset({"RefDot", "RefBrack"})
STRINGS: Final = frozenset({"String", "RawString"})
LITERALS: Final = STRINGS | {"Number", "Bool", "Null"}
COMPREHENSIONS: Final = frozenset({"ArrayCompr", "SetCompr", "ObjectCompr"})


def package_of(tree: SyntaxNode) -> str:
    """The package of a module: `data.waypost.submission`."""
    return ".".join(("data", *path_of(tree["package"]["refr"])[0]))


def only(node: SyntaxNode) -> tuple[str, Any]:
    """Kind and content of a node, which is an object with one field."""
    return next(iter(node.items()))


def path_of(node: SyntaxNode) -> tuple[list[str], bool]:
    """The names of a reference up to its first computed step, and True if no step is computed.

    `input.tasks[x].type` gives `["input", "tasks"]` and False; what begins with no name gives `["?"]`.
    """
    steps = steps_of(node)
    path = steps[: steps.index(None)] if None in steps else steps
    return [step for step in path if step is not None] or ["?"], None not in steps


def steps_of(node: SyntaxNode) -> list[str | None]:
    """All steps of a reference, None for each that is computed."""
    kind, value = only(node)
    if kind == "Var":
        return [value["value"]]
    if kind not in REFERENCES:
        return [None]
    if kind == "RefDot":
        return [*steps_of(value["refr"]), value["field"][1]]
    index, text = only(value["index"])
    return [*steps_of(value["refr"]), text["value"] if index in STRINGS else None]


def indices(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """The expressions inside a reference: its indices, and its start if that is not a name."""
    kind, value = only(node)
    if kind == "RefBrack":
        yield value["index"]
    if kind in REFERENCES:
        yield from indices(value["refr"])
    elif kind != "Var":
        yield node


def parts(rule: SyntaxNode) -> list[Any]:
    """The parts of a rule apart from its name: arguments, values, bodies."""
    kind, value = only(rule)
    if kind == "Default":
        return [value["value"]]
    _, head = only(value["head"])
    return [head.get("args"), head.get("key"), head.get("assign"), value["bodies"]]


def expressions(tree: Any, *, closed: frozenset[str] = frozenset()) -> Iterator[tuple[str, SyntaxNode]]:
    """Kind and content of every expression and literal below `tree`.

    Does not go into expressions of a kind in `closed`. A reference is one expression, and each of its indices
    is another; the name of a called function is none.
    """
    if isinstance(tree, list):
        for item in tree:
            yield from expressions(item, closed=closed)
    elif isinstance(tree, Mapping):
        if "literal" in tree:
            yield "Statement", tree
        for kind, value in tree.items():
            if kind in ("span", "fcn"):
                continue
            if kind[0].isupper() and isinstance(value, Mapping):
                yield kind, value
            if kind not in closed:
                yield from expressions(list(indices(tree)) if kind in REFERENCES else value, closed=closed)


def names(pattern: Any) -> Iterator[str]:
    """The names in a pattern such as `[a, {"b": c}]`."""
    if not isinstance(pattern, Mapping):
        return
    kind, value = only(pattern)
    if kind == "Var":
        yield value["value"]
    for item in value.get("items", ()) if kind == "Array" else ():
        yield from names(item)
    for _, _, item in value.get("fields", ()) if kind == "Object" else ():
        yield from names(item)


def word(text: str, span: SyntaxNode) -> str:
    """The source text at `span`, whose offsets count bytes."""
    return text.encode()[span["start"] : span["end"]].decode()


def literal(node: SyntaxNode) -> str | None:
    """The string that the node is; None if it is not a string literal."""
    kind, value = only(node)
    return str(value["value"]) if kind in STRINGS else None


def number(node: SyntaxNode) -> float | None:
    """The number that the node is; None if it is not a number literal."""
    kind, value = only(node)
    return value["value"] if kind == "Number" else None


def items(node: SyntaxNode) -> Sequence[SyntaxNode] | None:
    """The items of the node; None if it is not an array literal."""
    kind, value = only(node)
    return list(value["items"]) if kind == "Array" else None
