"""Makes object patterns in Rego rules exact: in regorus 0.13 they match objects with more fields too.

OPA finds nothing for `{"name": x} = y` where `y` has another field. So each pattern that binds names becomes
`v = y; is_object(v); count(v) == 1; {"name": x} = v`. A second difference is removed here too: where no rule
`s[k] contains x` holds, `s` is the empty object in OPA and undefined in regorus, so it gets a default.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.policy.embedded.syntax_tree import (
    Edit,
    Module,
    SyntaxNode,
    extent,
    head_of,
    is_bare,
    is_plain,
    names_in,
    only,
)

PREFIX: Final = "exactly_"
"""The prefix of the names that stand for objects; a pattern of one is exact already."""


def exact_statement(
    module: Module, query: SyntaxNode, statement: SyntaxNode, single: frozenset[str], names: Iterator[str]
) -> Edit | None:
    """Returns an edit after which a statement's object patterns match no object with more fields.

    Returns None where the patterns bind no names.
    """
    kind, value = only(statement["literal"])
    bound, operator = frozenset[str](), ":="
    if kind == "SomeIn":
        patterns = [value["key"], value["value"]]
    elif kind == "Expr" and "AssignExpr" in value["expr"]:
        assignment = value["expr"]["AssignExpr"]
        patterns = [assignment["lhs"]]
        if assignment["op"] == "Eq":
            patterns, bound, operator = [*patterns, assignment["rhs"]], single | {"input", "data"}, "="
        # Of two objects regorus compares the fields when it loads them; what is in them is left.
        if _is_exact(assignment["rhs"]) or {"Object"} == {
            only(assignment[side])[0] for side in ("lhs", "rhs")
        }:
            fields = [field for pattern in patterns for field in only(pattern)[1].get("fields", ())]
            patterns = [item for _, _, item in fields]
    else:
        return None
    if not (named := _named(patterns, bound, names)):
        return None
    start, end = extent(module, statement)
    text = module.edited([(*extent(module, node), name) for name, node in named.items()], start, end)
    text = "; ".join([text, _exact_matches(module, named, operator)])
    return start, end, f"{{ {text} }}" if is_bare(module, query) else text


def exact_arguments(module: Module, rule: SyntaxNode, names: Iterator[str]) -> Edit | None:
    """Returns an edit after which a function's arguments match no object with more fields, or None."""
    if not (named := _named(head_of(rule).get("args") or [], frozenset(), names)):
        return None
    edits = [(*extent(module, node), name) for name, node in named.items()]
    tests, (first, last) = _exact_matches(module, named, "="), extent(module, rule)
    bodies = only(rule)[1].get("bodies") or [{"query": None, "span": {"start": last, "end": last}}]
    for body in bodies:
        query = body["query"]
        if query is None or not query["stmts"]:
            end = extent(module, body)[1]
            edits.append((end, end, f" if {{ {tests} }}"))
            continue
        start, end = extent(module, query)
        if is_bare(module, query):
            edits += [(start, start, f"{{ {tests}; "), (end, end, " }")]
        else:
            edits.append((start + 1, start + 1, f" {tests};"))
    return first, last, module.edited(edits, first, last)


def _named(
    patterns: list[SyntaxNode], bound: frozenset[str], names: Iterator[str]
) -> Mapping[str, SyntaxNode]:
    return {PREFIX + next(names): node for pattern in patterns for node in _open_objects(pattern, bound)}


def _open_objects(pattern: SyntaxNode | None, bound: frozenset[str]) -> list[SyntaxNode]:
    """Returns the outermost objects of a pattern that bind names other than those in `bound`."""
    kind, value = only(pattern) if pattern else ("", {})
    if kind == "Array":
        return [node for item in value["items"] for node in _open_objects(item, bound)]
    is_open = kind == "Object" and not bound.issuperset(names_in(value["fields"]))
    return [pattern] if pattern and is_open else []


def _is_exact(node: SyntaxNode) -> bool:
    kind, value = only(node)
    return kind == "Var" and str(value["value"]).startswith(PREFIX)


def _exact_matches(module: Module, named: Mapping[str, SyntaxNode], operator: str) -> str:
    """Returns Rego statements that hold if each variable is an object with its pattern's fields and no more.

    `named` has the patterns by the names of the variables.
    """
    return "; ".join(
        f"is_object({name}); count({name}) == {len(only(node)[1]['fields'])};"
        f" {module.edited([], *extent(module, node))} {operator} {name}"
        for name, node in named.items()
    )


def empty_objects(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """Yields a Rego module, as (file name, text), with `default s := {}` for each object `s` that needs it.

    These are the objects that rules such as `s[k] contains x` or `s[a][b] := x` define.
    """
    paths = {
        module.resolve(refr)
        for module in modules
        for rule in module.rules
        if not is_plain(refr := head_of(rule)["refr"])
        # An object with one key for each value is empty here too.
        and ("Set" in only(rule)[1]["head"] or not is_plain(only(refr)[1]["refr"]))
    }
    for number, path in enumerate(sorted(paths)):
        length = max(len(one.package) for one in modules if path[: len(one.package)] == one.package)
        package, name = ".".join(path[1:length]), ".".join(path[length:])
        yield f"default {number}", f"package {package}\n\ndefault {name} := {{}}\n"
