"""Resolves names: what the names in a module and in a rule refer to."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.policy.embedded.subset.builtins import TOTAL_BUILTINS
from gateway.policy.embedded.subset.syntax_tree import (
    COMPREHENSIONS,
    LITERALS,
    REFERENCES,
    SyntaxNode,
    expressions,
    indices,
    names,
    only,
    package_of,
    parts,
    path_of,
    word,
)

NEGATION: Final = frozenset({"NotExpr"})
SCOPES: Final = COMPREHENSIONS | {"Every"}


class Declaration(Struct, frozen=True, kw_only=True):
    """One declaration of a rule.

    `kind` is Compr, Set, Func or Default, `arity` that of a function. `valued`: its value is another than
    true; `always`: it has no condition.
    """

    name: str
    kind: str
    arity: int
    valued: bool
    always: bool
    file: str
    line: int

    @property
    def always_defined(self) -> bool:
        """True if the rule has a value whatever the input: a set (perhaps an empty one), or a default."""
        return self.kind in ("Set", "Default") and not self.arity


Packages = Mapping[str, Mapping[str, Sequence[Declaration]]]


def declarations(modules: Sequence[SyntaxNode]) -> Packages:
    """The declarations of every rule, by package and name."""
    packages: defaultdict[str, defaultdict[str, list[Declaration]]] = defaultdict(lambda: defaultdict(list))
    for source in modules:
        known = packages[package_of(source["ast"])]
        for rule in source["ast"]["rules"]:
            kind, value = only(rule)
            head_kind, head = (kind, value) if kind == "Default" else only(value["head"])
            name = path_of(head["refr"])[0][0]
            place = {"file": source["source"]["file"], "line": value["span"]["line"]}
            declared = (
                (head.get("assign") or {"value": {"Bool": {"value": True}}})["value"]
                if head_kind == "Compr"
                else {}
            )
            valued, always = declared.get("Bool", {}).get("value") is not True, not value.get("bodies")
            known[name].append(
                Declaration(
                    name=name,
                    kind=head_kind,
                    arity=len(head.get("args") or ()),
                    valued=valued,
                    always=always,
                    **place,
                )
            )
    return {package: dict(rules) for package, rules in packages.items()}


class Module:
    """A module with its imports: resolves the names in it."""

    def __init__(self, source: SyntaxNode, packages: Packages) -> None:
        tree = source["ast"]
        self.file: str = source["source"]["file"]
        self.text: str = source["source"]["contents"]
        self.rules: Sequence[SyntaxNode] = tree["rules"]
        self.package = package_of(tree)
        self.packages = packages
        self.imports = [node for node in tree["imports"] if path_of(node["refr"])[0][0] != "rego"]
        self.aliases = dict(map(self._import, self.imports))

    def full(self, path: Sequence[str]) -> list[str]:
        """`path` with imported names replaced by what they refer to."""
        return [*self.aliases.get(path[0], (path[0],)), *path[1:]]

    def rule(self, path: Sequence[str]) -> tuple[str, str] | None:
        """The package and name of the rule that `path`, as written in this module, begins with.

        None if it begins with no rule.
        """
        if path[0] in self.packages[self.package]:
            return self.package, path[0]
        full = self.full(path)
        for end in range(len(full) - 1, 0, -1):
            package = ".".join(full[:end])
            if full[end] in self.packages.get(package, {}):
                return package, full[end]
        return None

    def declared(self, path: Sequence[str]) -> Sequence[Declaration]:
        """The declarations of the rule that `path` begins with."""
        named = self.rule(path)
        return () if named is None else self.packages[named[0]][named[1]]

    def local(self, name: str) -> bool:
        """True if `name` is neither an import nor a rule: only the rule that it stands in can bind it."""
        return name not in ("input", "data", *self.aliases) and name not in self.packages[self.package]

    def defined(self, node: SyntaxNode) -> bool:
        """True if the expression `node` has a value whatever input and data are; False if unknown."""
        kind, value = only(node)
        if kind in LITERALS or kind in COMPREHENSIONS:
            return True
        if kind in ("Array", "Set"):
            return all(map(self.defined, value["items"]))
        if kind == "Object":
            return all(self.defined(key) and self.defined(item) for _, key, item in value["fields"])
        if kind == "Call":
            return ".".join(path_of(value["fcn"])[0]) in TOTAL_BUILTINS | {"sprintf"} and all(
                map(self.defined, value["params"])
            )
        if kind == "Var" or kind in REFERENCES:
            path, complete = path_of(node)
            if self.rule(path) is not None:
                return complete and any(declared.always_defined for declared in self.declared(path))
            return kind == "Var" and self.local(path[0])
        return False

    def references(self, tree: Any) -> Iterator[tuple[str, str]]:
        """The rules that are named below `tree`, by package and name."""
        for kind, value in expressions(tree):
            node = value["fcn"] if kind == "Call" else {kind: value}
            if (kind in ("Call", "Var") or kind in REFERENCES) and (
                named := self.rule(path_of(node)[0])
            ) is not None:
                yield named

    def roots(self, tree: Any, *, closed: frozenset[str] = frozenset()) -> set[str]:
        """Which of `input` and `data` are read below `tree`, apart from references to rules."""
        named = (
            value["fcn"] if kind == "Call" else {kind: value}
            for kind, value in expressions(tree, closed=closed)
        )
        paths = (path_of(node)[0] for node in named if only(node)[0] == "Var" or only(node)[0] in REFERENCES)
        return {self.full(path)[0] for path in paths if self.rule(path) is None} & {"input", "data"}

    def _import(self, node: SyntaxNode) -> tuple[str, tuple[str, ...]]:
        path, _ = path_of(node["refr"])
        return word(self.text, node["as"]) if node.get("as") else path[-1], tuple(path)


class Locals:
    """The local names of one rule."""

    def __init__(self, module: Module, rule: SyntaxNode) -> None:
        self._module = module
        tree = parts(rule)
        self.arguments = (
            {name for pattern in tree[0] or () for name in names(pattern)} if len(tree) > 1 else set()
        )
        announced = {
            word(module.text, span)
            for kind, value in expressions(tree)
            if kind == "SomeVars"
            for span in value["vars"]
        }
        declared = self.arguments | set(_declared_names(module, tree))
        self.declared_names = declared | announced
        """Names that the rule declares: its arguments, and those of := and `some`."""
        self.bound = declared | set(_equated_names(tree)) | {"_"}
        """Names that get a value: not by a `some` without `in`, nor by what stands below a `not`."""
        self._single_valued = (self.arguments | set(_single_valued_names(tree))) - {"_"}

    def loops(self, tree: Any) -> bool:
        """True if `tree`, its comprehensions left out, may hold in several ways."""
        for kind, value in expressions(tree, closed=SCOPES):
            if kind in ("SomeIn", "SomeVars"):
                return True
            if kind in REFERENCES and any(
                self._module.local(name) and name not in self._single_valued
                for name in _indexing(kind, value)
            ):
                return True
        return False

    def varies(self, tree: Any) -> bool:
        """True if `tree` may have several values within one evaluation of the rule's body."""
        own = {
            value["value"]
            for kind, value in expressions(tree)
            if kind == "Var" and self._module.local(value["value"])
        }
        return self.loops(tree) or not own <= self.arguments


def _declared_names(module: Module, tree: Any) -> Iterator[str]:
    for kind, value in expressions(tree):
        if kind == "AssignExpr" and value["op"] == "ColEq":
            yield from names(value["lhs"])
        elif kind == "SomeIn":
            yield from (*names(value["key"]), *names(value["value"]))
        elif kind == "Every":
            yield from (word(module.text, value[part]) for part in ("key", "value") if value.get(part))


def _equated_names(tree: Any) -> Iterator[str]:
    """Names bound by an equation or as an index, outside of every `not`."""
    for kind, value in expressions(tree, closed=NEGATION):
        if kind == "AssignExpr":
            yield from (*names(value["lhs"]), *names(value["rhs"]))
        elif kind in REFERENCES:
            yield from _indexing(kind, value)


def _indexing(kind: str, value: SyntaxNode) -> Iterator[str]:
    for index in indices({kind: value}):
        yield from names(index)


def _single_valued_names(tree: Any) -> Iterator[str]:
    """Names that have one value at a time.

    They are bound by `some .. in`, by :=, or by an equation with something that is no name itself.
    """
    for kind, value in expressions(tree):
        if kind == "SomeIn":
            yield from (*names(value["key"]), *names(value["value"]))
        if kind == "AssignExpr":
            sides = (
                [(value["lhs"], value["rhs"])]
                if value["op"] == "ColEq"
                else [(value["lhs"], value["rhs"]), (value["rhs"], value["lhs"])]
            )
            for pattern, other in sides:
                if value["op"] == "ColEq" or not list(names(other)):
                    yield from set(names(pattern)) - {
                        part["value"] for what, part in expressions(other) if what == "Var"
                    }
