"""Infers the types of values at each place of the rules, in the order of the text.

A fact comes from a literal, from the schemas, from a test such as `is_string(x)` earlier in the same body, or
from a result of known type. It holds for what follows, comprehensions and negations included, never for what
precedes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.policy.embedded.subset.builtins import OPERATORS, SIGNATURES
from gateway.policy.embedded.subset.scopes import Module
from gateway.policy.embedded.subset.syntax_tree import (
    COMPREHENSIONS,
    REFERENCES,
    SyntaxNode,
    literal,
    names,
    only,
    path_of,
    steps_of,
    word,
)
from gateway.policy.embedded.subset.types import (
    ANY,
    NUMBERS,
    UNKNOWN,
    ValueType,
    either,
    key,
    kinds,
    narrow,
    step,
)

Facts: TypeAlias = Mapping[tuple[str, ...], ValueType]
"""Types of locals, and of fields of `input`, `data`, rules and locals, by the path they are written with."""

TESTS: Final = {
    f"is_{kind}": frozenset({kind}) for kind in ("array", "boolean", "null", "object", "set", "string")
} | {"is_number": NUMBERS}
PLAIN: Final = {"String": "string", "RawString": "string", "Bool": "boolean", "Null": "null"}
BOOLEAN: Final = {"type": "boolean"}


class RuleTypes:
    """The types of all rules, each inferred once."""

    def __init__(self, modules: Sequence[Module], schemas: Mapping[str, ValueType]) -> None:
        self.schemas = schemas
        self._written: dict[tuple[str, str], list[tuple[Flow, SyntaxNode]]] = {}
        self._values: dict[tuple[str, str], ValueType] = {}
        self._proofs: dict[tuple[str, str], tuple[Sequence[SyntaxNode], Facts]] = {}
        for flow in [Flow(module, self) for module in modules]:
            for rule in flow.module.rules:
                kind, value = only(rule)
                head = value if kind == "Default" else only(value["head"])[1]
                self._written.setdefault((flow.module.package, path_of(head["refr"])[0][0]), []).append(
                    (flow, rule)
                )

    def every(self) -> Iterator[tuple["Flow", SyntaxNode]]:
        for written in self._written.values():
            yield from written

    def value(self, named: tuple[str, str]) -> ValueType:
        """The type of a rule's value, or of a function's result.

        For a rule that needs itself nothing is known; it is refused elsewhere.
        """
        if named not in self._values:
            self._values[named] = ANY
            self._values[named] = either(
                type_ for flow, rule in self._written[named] for type_ in flow.values(rule)
            )
        return self._values[named]

    def proof(self, named: tuple[str, str]) -> tuple[Sequence[SyntaxNode], Facts]:
        """A rule's arguments, and the facts that hold where the rule holds.

        Both are empty for rules with several bodies, and for sets, which are always defined.
        """
        if named not in self._proofs:
            self._proofs[named] = (), {}
            (flow, rule), *others = self._written[named]
            kind, value = only(rule)
            head_kind, head = (kind, value) if kind == "Default" else only(value["head"])
            if not others and head_kind in ("Compr", "Func") and len(value["bodies"]) == 1:
                self._proofs[named] = (
                    head.get("args") or (),
                    flow.after_query(value["bodies"][0].get("query"), {}),
                )
        return self._proofs[named]


class Flow:
    """Infers types in the rules of one module, statement by statement."""

    def __init__(self, module: Module, rules: RuleTypes) -> None:
        self.module = module
        self._rules = rules

    def values(self, rule: SyntaxNode) -> Iterator[ValueType]:
        """The types of a rule's value, one for each of its bodies."""
        kind, value = only(rule)
        if kind == "Default":
            yield self.type_of(value["value"], {})
            return
        head_kind = only(value["head"])[0]
        for query, value_node in bodies(value):
            found = BOOLEAN if value_node is None else self.type_of(value_node, self.after_query(query, {}))
            yield {"type": "set", "items": found} if head_kind == "Set" else found

    def after_query(self, query: Any, facts: Facts) -> Facts:
        """The facts once all statements of `query` have held."""
        for statement in query["stmts"] if query else ():
            facts = self.after_statement(statement["literal"], facts)
        return facts

    def type_of(self, node: SyntaxNode, facts: Facts) -> ValueType:
        """The type of an expression."""
        kind, value = only(node)
        if kind in PLAIN:
            return {"type": PLAIN[kind]}
        if kind == "Number":
            return {"type": "integer" if isinstance(value["value"], int) else "number"}
        if kind in ("Array", "Set"):
            return {
                "type": kind.lower(),
                "items": either(self.type_of(item, facts) for item in value["items"]),
            }
        if kind == "Object":
            return self._object(value, facts)
        if kind in COMPREHENSIONS:
            facts = self.after_query(value["query"], facts)
            if kind == "ObjectCompr":
                parts = {"propertyNames": value["key"], "additionalProperties": value["value"]}
                return {"type": "object"} | {name: self.type_of(part, facts) for name, part in parts.items()}
            return {"type": kind.removesuffix("Compr").lower(), "items": self.type_of(value["term"], facts)}
        if kind == "Call":
            path = path_of(value["fcn"])[0]
            named, builtin = self.module.rule(path), SIGNATURES.get(".".join(path))
            return self._rules.value(named) if named else builtin.result if builtin else ANY
        if kind in ("ArithExpr", "BinExpr"):
            return self._result(value, facts)
        if kind in ("BoolExpr", "Membership"):
            return BOOLEAN
        return self._found(node, facts) if kind == "Var" or kind in REFERENCES else ANY

    def _object(self, value: SyntaxNode, facts: Facts) -> ValueType:
        if any(literal(name) is None for _, name, _ in value["fields"]):
            return {"type": "object"}
        fields = {literal(name): self.type_of(item, facts) for _, name, item in value["fields"]}
        return {
            "type": "object",
            "properties": fields,
            "additionalProperties": False,
            "propertyNames": {"type": "string"},
        }

    def _result(self, value: SyntaxNode, facts: Facts) -> ValueType:
        sides = [self.type_of(value["lhs"], facts), self.type_of(value["rhs"], facts)]
        result = SIGNATURES[operator(value, sides)].result
        if result["type"] == "set":
            return {"type": "set", "items": either(step(side, None) for side in sides)}
        whole = value["op"] != "Div" and all(kinds(side) == {"integer"} for side in sides)
        return {"type": "integer"} if whole else {"type": result["type"]}

    def _found(self, node: SyntaxNode, facts: Facts) -> ValueType:
        steps, type_ = self._written(node), ANY
        known = [
            end for end in range(1, len(steps) + 1) if None not in steps[:end] and tuple(steps[:end]) in facts
        ]
        if known:
            type_ = facts[tuple(str(name) for name in steps[: known[-1]])]
        elif named := self.module.rule(path_of(node)[0]):
            type_ = self._rules.value(named)
        elif steps[0] is not None:
            type_ = self._rules.schemas.get(steps[0], ANY)
        for name in steps[known[-1] if known else 1 :]:
            type_ = step(type_, name)
        return type_

    def _written(self, node: SyntaxNode) -> list[str | None]:
        """The steps of a reference with imports replaced; a rule with its package is one step."""
        steps = steps_of(node)
        if steps[0] is None:
            return steps
        if (named := self.module.rule(path_of(node)[0])) is None:
            return [*self.module.full([steps[0]]), *steps[1:]]
        package, name = named
        if steps[0] not in self.module.packages[self.module.package]:
            steps = [*self.module.full([steps[0]]), *steps[1:]][package.count(".") + 1 :]
        return [f"{package}.{name}", *steps[1:]]

    def _path(self, node: SyntaxNode) -> tuple[str, ...] | None:
        """The path under which facts about an expression are kept; None if there can be none."""
        kind = only(node)[0]
        steps = self._written(node) if kind == "Var" or kind in REFERENCES else [None]
        return None if None in steps or steps[0] == "_" else tuple(map(str, steps))

    def after_statement(self, statement: SyntaxNode, facts: Facts) -> Facts:
        kind, value = only(statement)
        if kind == "SomeIn":
            held = self.type_of(value["collection"], facts)
            return after_binding(
                after_binding(facts, value["key"], key(held)), value["value"], step(held, None)
            )
        if kind == "SomeVars":
            new = {word(self.module.text, span) for span in value["vars"]}
            return {path: type_ for path, type_ in facts.items() if path[0] not in new}
        return self._after_expression(*only(value["expr"]), facts) if kind == "Expr" else facts

    def _after_expression(self, kind: str, value: SyntaxNode, facts: Facts) -> Facts:
        """The facts once this expression has held."""
        if kind == "AssignExpr" and value["op"] == "ColEq":
            return after_binding(facts, value["lhs"], self.type_of(value["rhs"], facts))
        if kind in ("AssignExpr", "BoolExpr") and value["op"] == "Eq":
            sides = (value["lhs"], value["rhs"])
            types = [self.type_of(side, facts) for side in sides]
            new = {
                self._path(side): other
                for side, one, other in zip(sides, types, types[::-1], strict=True)
                if UNKNOWN in kinds(one)
            }
            return {**facts, **{path: type_ for path, type_ in new.items() if path is not None}}
        if kind == "BoolExpr" and value["op"] == "Ne" and "Null" in value["rhs"]:
            return self._narrow(value["lhs"], kinds(self.type_of(value["lhs"], facts)) - {"null"}, facts)
        node = value["fcn"] if kind == "Call" else {kind: value}
        if kind != "Call" and kind != "Var" and kind not in REFERENCES:
            return facts
        path, complete = path_of(node)
        if (named := self.module.rule(path)) is None:
            test = TESTS.get(".".join(path)) if kind == "Call" and complete else None
            return self._narrow(value["params"][0], test, facts) if test and value["params"] else facts
        arguments, proven = self._rules.proof(named)
        for parameter, given in zip(arguments, value.get("params", ()), strict=False):
            if found := proven.get(tuple(names(parameter))):
                facts = self._narrow(given, kinds(found), facts)
        return {
            **{
                path: type_
                for path, type_ in proven.items()
                if path[0] in ("input", "data") or "." in path[0]
            },
            **facts,
        }

    def _narrow(self, node: SyntaxNode, allowed: frozenset[str], facts: Facts) -> Facts:
        path = self._path(node)
        return facts if path is None else {**facts, path: narrow(self.type_of(node, facts), allowed)}


def bodies(rule: SyntaxNode) -> Iterator[tuple[Any, SyntaxNode | None]]:
    """For each body of `rule` its statements, and the value, or the element of a set, where they hold."""
    head = only(rule["head"])[1]
    for index, body in enumerate(rule["bodies"] or [{}]):
        assign = body["assign"] if index else head.get("assign")
        yield body.get("query"), head["key"] if "key" in head else assign and assign["value"]


def after_binding(facts: Facts, pattern: Any, type_: ValueType) -> Facts:
    """The facts once the names in `pattern` are bound: earlier facts about them do not hold any more."""
    new = set(names(pattern))
    facts = {path: known for path, known in facts.items() if path[0] not in new}
    return {**facts, (only(pattern)[1]["value"],): type_} if new - {"_"} and "Var" in pattern else facts


def operator(value: SyntaxNode, sides: Sequence[ValueType]) -> str:
    """The name in `SIGNATURES` of the operator `value`; the minus between sets is `\\`."""
    sets = value["op"] == "Sub" and any(kinds(side) == {"set"} for side in sides)
    return "\\" if sets else OPERATORS[value["op"]]
