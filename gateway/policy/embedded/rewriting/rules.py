"""Rewrites Rego rules that regorus 0.13 would otherwise evaluate differently from OPA.

Each change is one that OPA's compiler makes too, and stays within its line:

- `not f(input.a)` is true in regorus where `input.a` is missing, since it negates the whole. OPA evaluates
  what a function or an operator is given first: `x := input.a; not f(x)`.
- `[path, value] := walk(x)` is empty in regorus: `walk(x, pair); [path, value] := pair`.
- A head with an undefined value, or with a loop, loses the whole rule in regorus. OPA evaluates
  it at the end of the body: `s contains input.xs[_]` becomes `s contains x if { x := input.xs[_] }`.
- An object that is defined by rules with several keys, `s[k] contains x`, is undefined in regorus where none
  of them holds: it gets a default rule.
- Of an imported package regorus evaluates every rule: imported names are written in full.
- regorus fails on a `sprintf` with more or fewer values than verbs: what is missing is added.
- regorus fails on a call without arguments, `f()`, of a rule: it is written `f`.
- `[input.a in xs]` is [false] in regorus where one of both is missing: `a := input.a; [a in xs]`.
- Of `x.y := 1` regorus leaves `x` undefined where the rule has no value; of `x["y"] := 1` it is empty.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, dropwhile
from operator import itemgetter
from typing import Final, TypeAlias

from msgspec import structs

from gateway.policy.embedded.builtins import BUILTINS
from gateway.policy.embedded.rewriting.missing_values import (
    evaluated_before_negation,
    has_value,
    missing_in_memberships,
)
from gateway.policy.embedded.syntax_tree import (
    COMPREHENSIONS,
    REFERENCES,
    Edit,
    Module,
    SyntaxNode,
    bound_walks,
    expressions,
    extent,
    head_of,
    indices,
    is_bare,
    is_plain,
    is_walk,
    literal,
    loops_over,
    only,
    path_of,
    read_rule,
)
from gateway.policy.source import BundleError, Diagnostic

_PREFIX: Final = "evaluated_before_"
_VERB: Final = re.compile(r"%(?:%|[-+# 0]*[0-9]*(?:\.[0-9]*)?[a-zA-Z])")
ROUNDS_MAXIMUM: Final = 100
COLLECTIONS: Final = COMPREHENSIONS | {"Array", "Set", "Object"}

Parse: TypeAlias = Callable[[Sequence[tuple[str, str]]], Sequence[Module]]


def rewrite_rules(modules: Sequence[tuple[str, str]], parse: Parse) -> tuple[Module, ...]:
    """Rewrites Rego modules, given as (file name, text), so that regorus evaluates them as OPA does.

    Raises `BundleError` for rules that cannot be parsed or that nest too deep.
    """
    # A change may lie within what another one moves: the outermost are made first, then what is left.
    parsed = {module.file: module for module in parse(modules)}
    written = dict(parsed)
    # What was left alone once is left alone again: a rule without changes is not looked at in later rounds.
    rules: dict[str, Collection[int]] = {file: range(len(module.rules)) for file, module in parsed.items()}
    for round_ in range(ROUNDS_MAXIMUM):
        edits = {file: _edits(module, rules[file], round_) for file, module in parsed.items()}
        changed = [
            (file, parsed[file].edited(chain.from_iterable(found.values()))) for file, found in edits.items()
        ]
        left = [(file, text) for file, text in changed if text.encode() != parsed[file].text]
        if not left:
            break
        # Only these are parsed again. The names of a package's rules may come from its other files.
        parsed = {new.file: structs.replace(new, names=written[new.file].names) for new in parse(left)}
        rules = {file: edits[file].keys() for file in parsed}
        written |= parsed
    else:
        # What is left as it was would be evaluated otherwise than by OPA.
        detail = "its rules nest too deep: write them in several (on OPA it works: set policy.engine)"
        raise BundleError([Diagnostic(file=file, line=0, detail=detail) for file in parsed])
    return (*written.values(), *parse(list(_empty_objects(tuple(written.values())))))


def _empty_objects(modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
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


def _edits(module: Module, rules: Iterable[int], round_: int) -> dict[int, list[Edit]]:
    """Returns the edits that a module's rules need, by the number of the rule."""
    names = (f"{_PREFIX}{round_}_{number}" for number in range(1 << 30))
    found = {number: list(_in_rule(module, module.rules[number], names)) for number in rules}
    return {number: edits for number, edits in found.items() if edits}


def _in_rule(module: Module, rule: SyntaxNode, names: Iterator[str]) -> Iterator[Edit]:
    found, declared = read_rule(module, rule)
    for kind, value in found:
        if kind == "Call":
            yield from _call(module, value)
        elif kind == "query" and value["stmts"]:
            yield from _statements(module, value, declared.single, names)
        yield from _imported(module, value["fcn"] if kind == "Call" else {kind: value}, declared.own)
    yield from _last_step(module, rule)
    if (edit := _head(module, rule, declared.single, names)) is not None:
        yield edit


def _last_step(module: Module, rule: SyntaxNode) -> Iterator[Edit]:
    """Yields an edit that writes the name of a rule `x.y` as `x["y"]`."""
    head = only(rule)[1].get("head") or {}
    kind, name = only(head["Compr"]["refr"]) if "Compr" in head else ("", {})
    if kind == "RefDot":
        span, step = name["field"]
        yield module.text.rindex(b".", 0, span["start"]), span["end"], f'["{step}"]'


def _call(module: Module, call: SyntaxNode) -> Iterator[Edit]:
    name, arguments = ".".join(module.resolve(call["fcn"])), call["params"]
    if name == "sprintf":
        yield from _values(module, arguments)
    elif not arguments and name not in BUILTINS:
        # A function without arguments is a rule here, and found as one.
        yield call["span"]["start"], call["span"]["end"], ".".join(path_of(call["fcn"]))


def _imported(module: Module, node: SyntaxNode, own: frozenset[str]) -> Iterator[Edit]:
    """Yields edits that write imported names in full: of an imported package regorus evaluates every rule."""
    while only(node)[0] in REFERENCES:
        node = only(node)[1]["refr"]
    kind, value = only(node)
    if kind == "Var" and value["value"] in module.imports.keys() - own:
        yield value["span"]["start"], value["span"]["end"], ".".join(module.imports[value["value"]])


def _values(module: Module, arguments: Sequence[SyntaxNode]) -> Iterator[Edit]:
    """Yields an edit that makes a call of `sprintf` have as many values as its format has verbs.

    Missing values get the text that OPA writes in their place; for surplus values, verbs are appended.
    """
    if len(arguments) != 2 or (form := literal(arguments[0])) is None or only(arguments[1])[0] != "Array":
        return
    values = only(arguments[1])[1]["items"]
    missing = len([verb for verb in _VERB.findall(form) if verb != "%%"]) - len(values)
    start, end = extent(module, arguments[0])
    if missing < 0:
        yield start, end, json.dumps(form + " %v" * -missing)
    elif missing > 0:
        end = extent(module, arguments[1])[1] - 1
        yield end, end, ", ".join([""] * bool(values) + ['"%!v(MISSING)"'] * missing)


def _statements(
    module: Module, query: SyntaxNode, single: frozenset[str], names: Iterator[str]
) -> Iterator[Edit]:
    yield from _declarations_first(module, query)
    for statement in query["stmts"]:
        kind, value = only(statement["literal"])
        if kind == "SomeIn":
            yield from _some(module, query, statement, names)
            continue
        if kind == "NotExpr":
            first = evaluated_before_negation(module, value["expr"])
        else:
            # Of several loops in one statement all but one come before it: there it can be interrupted.
            loops = loops_over(value, single) if kind == "Expr" else []
            first = bound_walks(statement) or (loops[-1:] if len(loops) > 1 else [])
            if kind == "Expr" and not first:
                first = missing_in_memberships(module, value["expr"])
        if first:
            yield _with_before(module, query, statement, {next(names): node for node in first})


def _some(module: Module, query: SyntaxNode, statement: SyntaxNode, names: Iterator[str]) -> Iterator[Edit]:
    """Yields an edit that inserts a test for null before `some x in xs`, on which regorus fails for null."""
    over = statement["literal"]["SomeIn"]["collection"]
    text = _between(module, *extent(module, over))
    if only(over)[0] in COLLECTIONS or text.startswith(_PREFIX) or statement.get("with_mods"):
        return
    start, end = extent(module, statement)
    before, name = _between(module, start, extent(module, over)[0]).rstrip("( "), next(names)
    bare = is_bare(module, query)
    tested = f"{name} := {text}; {name} != null; {before} ({name})"
    yield start, end, "{ " * bare + tested + " }" * bare


def _declarations_first(module: Module, query: SyntaxNode) -> Iterator[Edit]:
    """Yields an edit that moves each declaration `some i` to the start of the body `query`.

    regorus fails on a declaration after a loop.
    """
    behind = list(dropwhile(_declares, query["stmts"]))
    if later := [(*extent(module, statement), "true") for statement in behind if _declares(statement)]:
        start, end = extent(module, behind[0])[0], later[-1][1]
        moved = "; ".join(_between(module, first, last) for first, last, _ in later)
        yield start, end, f"{moved}; {module.edited(later, start, end)}"


def _declares(statement: SyntaxNode) -> bool:
    return "SomeVars" in statement["literal"]


def _with_before(
    module: Module, query: SyntaxNode, statement: SyntaxNode, first: Mapping[str, SyntaxNode]
) -> Edit:
    """Returns an edit that moves parts of a statement into assignments before the statement.

    `first` has the parts to move, by the names of the new variables that are written in their place.
    """
    start, end = extent(module, statement)
    modifiers = _between(module, extent(module, statement["literal"])[1], end)
    before, rest, at = list[tuple[bool, str]](), "", start
    for (a, b), name, node in sorted((extent(module, node), name, node) for name, node in first.items()):
        value = _between(module, a, b)
        evaluation = f"{value[:-1]}, {name})" if is_walk(node) else f"{name} := {value}"
        # OPA evaluates calls before references: one that fails must not be hidden by what is missing.
        calls = any(kind == "Call" for kind, _ in expressions(node))
        before.append((not calls, f"{evaluation}{modifiers}; "))
        # A name at the end of a line would be called by a bracket at the beginning of the next.
        rest += _between(module, at, a) + (f"({name})" if b == end else name)
        at = b
    before.sort(key=itemgetter(0))
    text = "".join(one for _, one in before) + rest + _between(module, at, end)
    return start, end, f"{{ {text} }}" if is_bare(module, query) else text


def _head(module: Module, rule: SyntaxNode, single: frozenset[str], names: Iterator[str]) -> Edit | None:
    """Returns an edit that moves the evaluation of a rule's keys, set element or value to its body's end.

    None where the rule needs no such edit.
    """
    kind, value = only(rule)
    if kind == "Default" or len(value["bodies"]) > 1:
        return None
    moved = _moved_from_head(module, *only(value["head"]), single)
    if not moved:
        return None
    first, last = extent(module, rule)
    named = [(*extent(module, node), next(names)) for node in moved]
    moving = "; ".join(f"{name} := {_between(module, start, end)}" for start, end, name in sorted(named))
    if not value["bodies"]:
        return first, last, f"{module.edited(named, first, last)} if {{ {moving} }}"
    query = value["bodies"][0]["query"]
    end = extent(module, query["stmts"][-1])[1]
    if is_bare(module, query):
        start = extent(module, query)[0]
        edits = [(start, start, "{ "), (end, end, f"; {moving} }}")]
    else:
        edits = [(end, end, f"; {moving}")]
    return first, end, module.edited([*named, *edits], first, end)


def _moved_from_head(module: Module, kind: str, head: SyntaxNode, single: frozenset[str]) -> list[SyntaxNode]:
    """Returns the parts of a rule's head that are to be evaluated in its body: they may have no value."""
    keys = [key for key in indices(head["refr"]) if not has_value(module, key)]
    value = head.get("key") or (head.get("assign") or {"value": None})["value"]
    keyed = kind == "Set" or not is_plain(head["refr"])
    if value is None or has_value(module, value):
        return keys
    if keyed or loops_over(value, single) or missing_in_memberships(module, {"Value": {"_": value}}):
        return [*keys, value]
    return keys


def _between(module: Module, start: int, end: int) -> str:
    return module.text[start:end].decode()
