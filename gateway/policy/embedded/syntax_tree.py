"""Functions that read and walk the syntax trees of Rego modules, as regorus' parser makes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

SyntaxNode: TypeAlias = Mapping[str, Any]
Edit: TypeAlias = tuple[int, int, str]
"""A text edit: the text between two offsets is replaced."""

REFERENCES: Final = frozenset({"RefDot", "RefBrack"})
STRINGS: Final = frozenset({"String", "RawString"})
LITERALS: Final = STRINGS | {"Number", "Bool", "Null"}
COMPREHENSIONS: Final = frozenset({"ArrayCompr", "SetCompr", "ObjectCompr"})
NESTED: Final = COMPREHENSIONS | {"Every"}
"""The kinds of nodes that have a query of their own."""
_CONTAINERS: Final = frozenset({dict, list})
_PASSED_OVER: Final = frozenset({"span", "fcn"})


class Module(Struct, frozen=True, kw_only=True):
    """A parsed Rego module: its file, text, rules, package (`data.waypost.submission`), and global names.

    `imports` maps each imported name to the full path that it stands for; `names` does so for each imported
    name and for each rule of the package.
    """

    file: str
    text: bytes
    package: tuple[str, ...]
    rules: Sequence[SyntaxNode]
    imports: Mapping[str, tuple[str, ...]]
    names: Mapping[str, tuple[str, ...]]

    def resolve(self, reference: SyntaxNode, own: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Returns the full path of a reference, up to its first computed part: `data.a.rule`.

        A reference that begins with a name in `own` is returned as it is: the rule around it declares that
        name itself, and it hides a global one.
        """
        first, *rest = path_of(reference)
        return (*((first,) if first in own else self.names.get(first, (first,))), *rest)

    def edited(self, edits: Iterable[Edit], start: int = 0, stop: int | None = None) -> str:
        """Returns the text from `start` to `stop` with `edits` made; an edit inside another is dropped."""
        end, written = start, []
        for first, last, text in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
            if first >= end:
                written.append(self.text[end:first].decode() + text)
                end = last
        return "".join(written) + self.text[end:stop].decode()

    def word(self, span: SyntaxNode) -> str:
        """Returns the part of the module's source text at `span`, whose offsets count bytes."""
        return self.text[span["start"] : span["end"]].decode()


def read_modules(trees: Sequence[SyntaxNode]) -> list[Module]:
    """Converts the parser's syntax trees of a bundle to `Module` values."""
    packages: dict[tuple[str, ...], set[str]] = {}
    for tree in trees:
        rules = (head_of(rule)["refr"] for rule in tree["ast"]["rules"])
        packages.setdefault(package_of(tree["ast"]), set()).update(path_of(name)[0] for name in rules)
    modules = []
    for tree in trees:
        package, text = package_of(tree["ast"]), tree["source"]["contents"].encode()
        imports = {}
        for node in tree["ast"]["imports"]:
            path, alias = path_of(node["refr"]), node.get("as")
            if path[0] == "rego":
                continue
            name = text[alias["start"] : alias["end"]].decode() if alias else path[-1]
            imports[name] = tuple(path)
        modules.append(
            Module(
                file=tree["source"]["file"],
                text=text,
                package=package,
                rules=tree["ast"]["rules"],
                imports=imports,
                names={name: (*package, name) for name in packages[package]} | imports,
            )
        )
    return modules


def package_of(tree: SyntaxNode) -> tuple[str, ...]:
    return ("data", *path_of(tree["package"]["refr"]))


def only(node: SyntaxNode) -> tuple[str, Any]:
    """Returns the kind and content of a syntax tree node, which is an object with one field."""
    return next(iter(node.items()))


def head_of(rule: SyntaxNode) -> SyntaxNode:
    """Returns the head of a Rego rule (of a default, the rule itself); its `refr` is the rule's name."""
    kind, value = only(rule)
    head: SyntaxNode = value if kind == "Default" else only(value["head"])[1]
    return head


def parts(rule: SyntaxNode) -> list[Any]:
    """Returns the parts of a Rego rule other than its name: arguments, key, value, bodies."""
    _, value = only(rule)
    head = head_of(rule)
    return [head.get(name) for name in ("args", "key", "assign", "value")] + [
        list(indices(head["refr"])),
        value.get("bodies"),
    ]


class DeclaredNames(Struct, frozen=True, kw_only=True):
    """The names that a Rego rule declares: `some` are those that a `some` declares, `own` all of them."""

    some: frozenset[str]
    own: frozenset[str]
    single: frozenset[str]
    """All names that have a value before they are used as an index, so that no loop runs."""


def read_rule(module: Module, rule: SyntaxNode) -> tuple[list[tuple[str, SyntaxNode]], DeclaredNames]:
    """Returns the kind and content of each expression and query in a Rego rule, and the names it declares."""
    tree = parts(rule)
    found = list(expressions(tree))
    announced, some, other = set[str](), set[str](), set(names_in(tree[0]))
    for kind, value in found:
        if kind == "SomeVars":
            announced.update(map(module.word, value["vars"]))
        elif kind == "SomeIn":
            announced.update(names_in(value["key"]))
            some.update(names_in(value["value"]))
        elif kind == "AssignExpr" and value["op"] == "ColEq":
            other.update(names_in(value["lhs"]))
        elif kind == "Every":
            other.update(module.word(value[part]) for part in ("key", "value") if value.get(part))
    own = frozenset(announced | some | other)
    single = (own | module.names.keys()) - announced - {"_"}
    return found, DeclaredNames(some=frozenset(announced | some), own=own, single=single)


def names_in(pattern: Any) -> Iterator[str]:
    """Yields the variable names in a Rego pattern such as `[a, {"b": c}]`."""
    for kind, value in expressions(pattern):
        if kind == "Var":
            yield value["value"]


def path_of(node: SyntaxNode) -> list[str]:
    """Returns the names of a reference, up to its first computed part; ["?"] if it begins with no name."""
    kind, value = only(node)
    if kind == "Var":
        return [value["value"]]
    if kind not in REFERENCES:
        return ["?"]
    path = path_of(value["refr"])
    if not is_plain(value["refr"]):
        return path
    if kind == "RefDot":
        return [*path, value["field"][1]]
    index, text = only(value["index"])
    return [*path, text["value"]] if index in STRINGS else path


def is_plain(node: SyntaxNode) -> bool:
    """Returns whether a node is a name, or a reference without computed parts."""
    kind, value = only(node)
    computed = kind == "RefBrack" and only(value["index"])[0] not in STRINGS
    return kind == "Var" or (kind in REFERENCES and not computed and is_plain(value["refr"]))


def indices(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """Yields the expressions inside a Rego reference: its indices, and its start if that is not a name."""
    kind, value = only(node)
    if kind == "RefBrack":
        yield value["index"]
    if kind in REFERENCES:
        yield from indices(value["refr"])
    elif kind != "Var":
        yield node


def expressions(tree: Any, *, closed: frozenset[str] = frozenset()) -> Iterator[tuple[str, SyntaxNode]]:
    """Yields the kind and content of each expression and query below `tree`.

    Those inside `closed` kinds are left out. A reference is one expression, and each of its indices is
    another; the name of a called function is none. A "query" is the body of a rule, a comprehension or an
    `every`.
    """
    # A stack in place of recursion, which costs four times as much: the last one is looked at next.
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if type(node) is list:
            pending.extend(node[::-1])
        elif type(node) is dict:
            # Half of what a node has is where it stands, and texts: no expressions, and not looked at again.
            for kind, value in reversed(node.items()):
                if type(value) in _CONTAINERS and kind not in _PASSED_OVER:
                    pending.append((kind, value, node) if kind[0].isupper() or kind == "query" else value)
        elif type(node) is tuple:
            kind, value, parent = node
            if type(value) is dict:
                yield kind, value
            if kind not in closed:
                pending.append(list(indices(parent)) if kind in REFERENCES else value)


def loops_over(node: SyntaxNode, single: frozenset[str]) -> list[SyntaxNode]:
    """Returns the references in `node` that act as loops, since an index has several values.

    Those in nested queries are left out.
    """
    return [
        {kind: value}
        for kind, value in expressions(node, closed=NESTED)
        if kind in REFERENCES
        and not single.issuperset(name for index in indices({kind: value}) for name in names_in(index))
    ]


def extent(module: Module, node: SyntaxNode) -> tuple[int, int]:
    """Returns the start and end offsets of a node's text: an expression, statement, query or rule.

    regorus 0.13 gives strings without their quotes, also where an expression begins or ends with one; and an
    object from its last field on. Both are corrected.
    """
    kind, value = ("", node) if "span" in node else only(node)
    start, end = value["span"]["start"], value["span"]["end"]
    if kind == "Object" and value["fields"]:
        start = module.text.rindex(b"{", 0, extent(module, value["fields"][0][1])[0])
    for inner, part in expressions(node):
        if inner in STRINGS:
            start = min(start, part["span"]["start"] - 1) if part["span"]["start"] == start else start
            end = max(end, part["span"]["end"] + 1) if part["span"]["end"] == end else end
    return start, end


def is_bare(module: Module, query: SyntaxNode) -> bool:
    """Returns whether a rule's body is one statement without braces."""
    return bool(query["span"]["start"] >= extent(module, query["stmts"][0])[0])


def is_comprehension(module: Module, query: SyntaxNode) -> bool:
    """Returns whether OPA takes a rule's body, `{ a | b }`, for a set, which is true whatever `b` is."""
    if not query["stmts"] or is_bare(module, query):
        return False
    node = query["stmts"][0]["literal"].get("Expr", {}).get("expr")
    # The first operand of the first operation: `a | b` in `a | b == c`.
    while node is not None:
        kind, value = only(node)
        if kind == "BinExpr" and value["op"] == "Union":
            start = extent(module, node)[0]
            return b"(" not in module.text[query["span"]["start"] : start]
        node = value.get("lhs") or (value.get("value") if kind == "Membership" else None)
    return False


def is_walk(node: SyntaxNode) -> bool:
    """Returns whether a node is a call `walk(x)`, which has many values, one after the other."""
    kind, value = only(node)
    return kind == "Call" and path_of(value["fcn"]) == ["walk"] and len(value["params"]) == 1


def bound_walks(statement: SyntaxNode) -> list[SyntaxNode]:
    """Returns the calls of `walk` in a statement that binds their values: `[path, value] := walk(x)`."""
    expression = statement["literal"].get("Expr")
    kind, value = only(expression["expr"]) if expression else ("", {})
    return [value[side] for side in ("lhs", "rhs") if kind == "AssignExpr" and is_walk(value[side])]


def literal(node: SyntaxNode) -> str | None:
    """Returns the value of a string literal; None if the node is not one."""
    kind, value = only(node)
    return str(value["value"]) if kind in STRINGS else None
