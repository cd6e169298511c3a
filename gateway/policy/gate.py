"""Which Rego the embedded engine takes: the part of the language in which its evaluator was measured to answer as it should.

The evaluator that decides (regorus' `Rvm`) is quick, and wrong where others would stop: `x := input.absent` in a body goes on with
an undefined `x`, so a rule that should fail holds; a builtin that is missing shows only when it is reached, and `not http.send(...)` is
simply true. So the syntax tree of each module is read before anything is decided, and what lies outside the subset is refused with
file and line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

Node: TypeAlias = Mapping[str, Any]

BUILTINS: Final = frozenset(
    name
    for group in (
        ("count", "sum", "product", "max", "min", "sort"),
        ("array.concat", "array.reverse", "array.slice"),
        ("object.filter", "object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n"),
        ("intersection", "union"),
        ("concat", "contains", "endswith", "format_int", "indexof", "indexof_n", "lower"),
        ("replace", "split", "sprintf", "startswith", "substring"),
        ("strings.any_prefix_match", "strings.any_suffix_match", "strings.replace_n", "strings.reverse"),
        ("trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper"),
        ("is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"),
        ("abs", "ceil", "floor", "round", "to_number"),
        ("regex.is_valid", "regex.match", "regex.replace", "regex.split", "glob.match"),
        ("base64.decode", "base64.encode", "hex.decode", "hex.encode", "json.marshal", "semver.compare", "semver.is_valid"),
    )
    for name in group
)
"""Builtins whose conformance cases the evaluator passes, and whose answer depends on their arguments alone."""

WHY: Final = {
    "http.send": "it answers nothing here, so its negation would be true",
    "opa.runtime": "a decision must depend on its input alone",
    "time.now_ns": "a decision must depend on its input alone: the time is input.at",
}

LITERALS: Final = frozenset({"String", "RawString", "Number", "Bool", "Null"})
COMPREHENSIONS: Final = frozenset({"ArrayCompr", "SetCompr", "ObjectCompr"})


class Problem(Struct, frozen=True, kw_only=True, gc=False, order=True):
    """One thing that keeps rules from being used. `file` is relative to the folder of the rules; `line` counts from 1, 0: all of it."""

    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.detail}" if self.line else f"{self.file}: {self.detail}"


class _Module:
    """What the names in one module stand for. `packages` says of every rule of the bundle whether it always has a value."""

    def __init__(self, source: Node, packages: Mapping[str, Mapping[str, bool]]) -> None:
        tree = source["ast"]
        self.file: str = source["source"]["file"]
        self.text: str = source["source"]["contents"]
        self.rules: Sequence[Node] = tree["rules"]
        self.package = package_of(tree)
        self.packages = packages
        self.aliases = {alias: path for alias, path in map(_import, tree["imports"]) if path}

    def rule(self, path: Sequence[str]) -> tuple[str, str] | None:
        """The package and name of the rule that `path` begins with, as written in this module; None: it names none."""
        if path[0] in self.packages[self.package]:
            return self.package, path[0]
        full = [*self.aliases.get(path[0], (path[0],)), *path[1:]]
        for end in range(len(full) - 1, 0, -1):
            package = ".".join(full[:end])
            if full[end] in self.packages.get(package, {}):
                return package, full[end]
        return None

    def defined(self, node: Node) -> bool:
        """Does this expression have a value whatever input and data hold? Where in doubt, no."""
        kind, value = _only(node)
        if kind in LITERALS or kind in COMPREHENSIONS:
            return True
        if kind in ("Array", "Set"):
            return all(map(self.defined, value["items"]))
        if kind == "Object":
            return all(self.defined(key) and self.defined(item) for _, key, item in value["fields"])
        if kind == "Call":
            return ".".join(_path(value["fcn"])[0]) == "sprintf" and all(map(self.defined, value["params"]))
        if kind in ("Var", "RefDot", "RefBrack"):
            path, complete = _path(node)
            if (named := self.rule(path)) is not None:
                return complete and self.packages[named[0]][named[1]]
            return kind == "Var" and path[0] not in ("input", "data", *self.aliases)
        return False


def gate(modules: Sequence[Node]) -> list[Problem]:
    """What keeps `modules`, the parser's syntax trees, from being decided by. Sorted by file and line."""
    packages: dict[str, dict[str, bool]] = {}
    for source in modules:
        known = packages.setdefault(package_of(source["ast"]), {})
        for name, steady in map(_declared, source["ast"]["rules"]):
            known[name] = known.get(name, False) or steady
    return sorted(problem for source in modules for problem in _module(_Module(source, packages)))


def package_of(tree: Node) -> str:
    """The package of a module: `data.waypost.submission`."""
    return ".".join(("data", *_path(tree["package"]["refr"])[0]))


def _module(module: _Module) -> Iterator[Problem]:
    for rule in module.rules:
        for span, detail in (*_rule(module, rule), *_inside(module, rule)):
            yield Problem(file=module.file, line=span["line"], detail=detail)


def _rule(module: _Module, rule: Node) -> Iterator[tuple[Node, str]]:
    kind, value = _only(rule)
    if kind == "Default":
        if value["args"]:
            yield value["span"], "a default for a function is not honoured here: write a rule with the opposite condition"
        elif _only(value["value"])[0] not in LITERALS:
            yield value["span"], "the value of a default must be a plain one"
        return
    shape, head = _only(value["head"])
    if _only(head["refr"])[0] != "Var":
        yield value["span"], "the name of a rule must be one word: references and keys in a head answer differently here"
    if shape == "Set" and not module.defined(head["key"]):
        yield value["span"], "what this set contains may be undefined, and would be added all the same: bind it in the body with ="
    values = [head.get("assign"), *(body["assign"] for body in value["bodies"][1:])]
    if any(assign and not module.defined(assign["value"]) for assign in values[:-1]):
        yield value["span"], "a value before an else may be undefined, and the else would not be tried: write two rules"


def _inside(module: _Module, tree: Any) -> Iterator[tuple[Node, str]]:
    """Every expression below `tree`, with what is wrong about it."""
    if isinstance(tree, list):
        for item in tree:
            yield from _inside(module, item)
    elif isinstance(tree, Mapping):
        if tree.get("with_mods"):
            yield tree["span"], "`with` is for tests"
        for kind, value in tree.items():
            if isinstance(value, Mapping):
                yield from _expression(module, kind, value)
            if kind in ("RefDot", "RefBrack"):
                yield from _inside(module, list(_indices(tree)))
            elif kind != "span":
                yield from _inside(module, value)


def _expression(module: _Module, kind: str, value: Node) -> Iterable[tuple[Node, str]]:
    if kind == "Call":
        return _call(module, value)
    if kind == "AssignExpr" and value["op"] == "ColEq" and not module.defined(value["rhs"]):
        return [(value["span"], ":= of a value that may be undefined does not fail here: write = instead")]
    if kind in COMPREHENSIONS and not all(module.defined(value[part]) for part in ("term", "key", "value") if part in value):
        return [(value["span"], "what this comprehension collects may be undefined, and would be kept: bind it in the body with =")]
    if kind == "UnaryExpr":
        return [(value["span"], "the unary minus is not safe here: subtract from 0")]
    if kind in ("RefDot", "RefBrack", "Var"):
        return _reference(module, {kind: value})
    return []


def _call(module: _Module, call: Node) -> Iterator[tuple[Node, str]]:
    path, complete = _path(call["fcn"])
    name = ".".join(path)
    if complete and module.rule(path) is not None:
        if not all(map(module.defined, call["params"])):
            yield call["span"], f"an argument of {name} may be undefined, and it would be called all the same: bind it first with ="
    elif name not in BUILTINS or not complete:
        yield call["span"], f"{name} is not among the builtins of the embedded engine{f': {WHY[name]}' if name in WHY else ''}"


def _reference(module: _Module, node: Node) -> Iterator[tuple[Node, str]]:
    """A package as a whole, or a rule found by a name that is not written out, is not the same in both evaluators."""
    path, _ = _path(node)
    full = ".".join((*module.aliases.get(path[0], (path[0],)), *path[1:]))
    if path[0] not in module.packages[module.package] and any(f"{package}.".startswith(f"{full}.") for package in module.packages):
        yield _only(node)[1]["span"], f"{full} is not one rule, but a package or what holds one: name the rule"


def _declared(rule: Node) -> tuple[str, bool]:
    """The name of a rule, and whether it always has a value: a set has, if an empty one, and so has what has a default."""
    kind, value = _only(rule)
    if kind == "Default":
        return _path(value["refr"])[0][0], not value["args"]
    shape, head = _only(value["head"])
    return _path(head["refr"])[0][0], shape == "Set"


def _import(node: Node) -> tuple[str, tuple[str, ...]]:
    path, _ = _path(node["refr"])
    return path[-1], () if path[0] == "rego" else tuple(path)


def _path(node: Node) -> tuple[list[str], bool]:
    """The names that a reference is written with, up to the first that is computed; and whether that is all of it."""
    kind, value = _only(node)
    if kind == "Var":
        return [value["value"]], True
    if kind not in ("RefDot", "RefBrack"):
        return ["?"], False
    path, complete = _path(value["refr"])
    if kind == "RefDot":
        return ([*path, value["field"][1]], True) if complete else (path, False)
    index, text = _only(value["index"])
    return ([*path, text["value"]], True) if complete and index in ("String", "RawString") else (path, False)


def _indices(node: Node) -> Iterator[Node]:
    """The expressions inside a reference: what it starts from where that is not a name, and its computed indices."""
    kind, value = _only(node)
    if kind == "RefBrack":
        yield value["index"]
    if kind in ("RefDot", "RefBrack"):
        yield from _indices(value["refr"])
    elif kind != "Var":
        yield node


def _only(node: Node) -> tuple[str, Any]:
    return next(iter(node.items()))
