"""The rules' own tests, run in both evaluators of the embedded engine.

A `_test.rego` file holds `test_` rules, which must be true (they may use `with`, which only one evaluator knows), and `cases`:

    cases := {"a banned image": {"input": {"action": "runs:submit", ...}, "data": {...}, "want": {"allow": false, "rules": [...]}}}

A case's input is asked as the gateway would ask it, of the rule that its action belongs to. Both evaluators must give the same, complete
decision, and that must hold what `want` names. Without `data` the bundle's own counts.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import regorus
from msgspec import Struct

from gateway.core.decision import Action
from gateway.policy.answer import AnswerError
from gateway.policy.bundle import Bundle, BundleError, Diagnostic
from gateway.policy.embedded.compilation import compile_source, parse_modules
from gateway.policy.embedded.evaluator import (
    EvaluationError,
    Interpreter,
    VirtualMachine,
    one_line,
    parse_result,
)
from gateway.policy.embedded.subset.constructs import cycles
from gateway.policy.embedded.subset.syntax_tree import SyntaxNode, package_of
from gateway.policy.question import ENTRY_POINTS
from gateway.policy.source import PolicySource

BUDGET_SECONDS: Final = 1.0
"""A case that takes longer, in both evaluators together, would not be decided in time either."""
SHOWN: Final = 3
"""Failures of one file that are told in full: one mistake can fail them all."""


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input, and what must come of it."""

    input: dict[str, Any]
    want: dict[str, Any]
    data: dict[str, Any] | None = None


class Report(Struct, frozen=True, kw_only=True):
    """What was run, how much of it failed, and the first failures of each file, with the line of the test, then how many more there are."""

    tests: int
    cases: int
    failed: int
    failures: tuple[Diagnostic, ...]

    def __str__(self) -> str:
        if self.failed:
            return f"{self.tests} tests, {self.cases} cases, {self.failed} failed"
        return f"{self.tests} tests, {self.cases} cases, both evaluators agree"


def run(bundle: Bundle) -> Report:
    """Every test of the bundle. Raises `BundleError` where the rules or their tests cannot be used at all."""
    evaluators = _Evaluators(bundle.source)
    trees, engine = _load(bundle)
    tests, cases, failed = 0, 0, 0
    shown: list[Diagnostic] = []
    for tree in trees:
        failures = []
        for name, line in _tests(tree):
            tests += 1
            failures.append(_problems(tree, line, name, _test(engine, f"{package_of(tree['ast'])}.{name}")))
        found, lines = _cases(engine, tree)
        for name, case in found.items():
            cases += 1
            failures.append(
                _problems(tree, lines.get(name, lines[""]), f'case "{name}"', _case(case, evaluators))
            )
        failures = sorted(filter(None, failures))
        failed += len(failures)
        shown += [problem for problems in failures[:SHOWN] for problem in problems]
        if (more := len(failures) - SHOWN) > 0:
            shown.append(
                Diagnostic(
                    file=tree["source"]["file"], line=0, detail=f"and {more} more of its tests and cases"
                )
            )
    if not tests + cases:
        failed, shown = (
            1,
            [
                Diagnostic(
                    file="rules",
                    line=0,
                    detail="have no tests: no test_ rule and no cases in a _test.rego file",
                )
            ],
        )
    return Report(tests=tests, cases=cases, failed=failed, failures=tuple(shown))


def examples(bundle: Bundle) -> list[Case]:
    """The cases of the bundle, for whoever wants to ask another engine. Raises `BundleError`, and msgspec's errors for what is no case."""
    trees, engine = _load(bundle)
    return [msgspec.convert(case, Case) for tree in trees for case in _cases(engine, tree)[0].values()]


class _Evaluators:
    """Both evaluators, for the data that a case brings."""

    def __init__(self, rules: PolicySource) -> None:
        self._rules = rules
        self._quick = {rules.data: compile_source(rules)}
        self._thorough = {rules.data: Interpreter(rules)}

    def of(self, data: str | None) -> tuple[VirtualMachine, Interpreter]:
        text = data or self._rules.data
        if text not in self._quick:
            rules = msgspec.structs.replace(self._rules, data=text)
            self._quick[text], self._thorough[text] = VirtualMachine(rules), Interpreter(rules)
        return self._quick[text], self._thorough[text]


def _case(case: Any, evaluators: _Evaluators) -> Iterator[str]:
    try:
        asked = msgspec.convert(case, Case)
        entry_point = ENTRY_POINTS[Action(asked.input.get("action", ""))]
    except (msgspec.ValidationError, ValueError) as error:
        yield f"is not a case: {error}"
        return
    document = msgspec.json.encode(asked.input)
    data = None if asked.data is None else msgspec.json.encode(asked.data).decode()
    try:
        machine, interpreter = evaluators.of(data)
        started = time.perf_counter()
        quick = machine.evaluate(entry_point, document)
        thorough = interpreter.evaluate(entry_point, document)
        seconds = time.perf_counter() - started
        parse_result(quick)
    except (EvaluationError, AnswerError) as error:
        yield f"no decision: {error}"
        return
    decision = msgspec.json.decode(quick)
    if decision != msgspec.json.decode(thorough):
        yield f"the evaluators differ: one says {_short(quick)}, the other {_short(thorough)}"
    if seconds > BUDGET_SECONDS:
        yield f"took {seconds:.1f} s; {BUDGET_SECONDS} s are allowed"
    yield from _missing(decision, asked.want, "")


def _missing(found: Any, want: Any, at: str) -> Iterator[str]:
    """Where `found` is not what `want` names. Objects may hold more, anything else must be equal."""
    if isinstance(want, dict) and isinstance(found, dict) and want:
        for name, value in want.items():
            if name not in found:
                yield f"{at}{name}: wanted {_show(value)}, there is none"
            else:
                yield from _missing(found[name], value, f"{at}{name}.")
    elif found != want:
        yield f"{at.removesuffix('.')}: wanted {_show(want)}, got {_show(found)}"


def _test(engine: regorus.Engine, rule: str) -> Iterator[str]:
    try:
        value = engine.eval_rule_as_json(rule)
    except RuntimeError as error:
        yield one_line(error)
        return
    if value != "true":
        yield f"is {_short(value)}, not true"


def _tests(tree: SyntaxNode) -> Iterator[tuple[str, int]]:
    """Name and line of each `test_` rule. A rule of several bodies is one test."""
    seen = set()
    for name, rule in _named(tree):
        if name.startswith("test_") and name not in seen:
            seen.add(name)
            yield name, rule["span"]["line"]


def _cases(engine: regorus.Engine, tree: SyntaxNode) -> tuple[Mapping[str, Any], Mapping[str, int]]:
    """The cases of a test module by name, and the line that each stands on, "" being that of the rule."""
    rule = next((rule for name, rule in _named(tree) if name == "cases"), None)
    if rule is None:
        return {}, {"": 0}
    lines = {"": rule["span"]["line"]}
    written = rule["head"]["Compr"]["assign"]["value"].get("Object", {"fields": []})
    lines |= {
        key["String"]["value"]: key["String"]["span"]["line"]
        for _, key, _ in written["fields"]
        if "String" in key
    }
    try:
        found = msgspec.json.decode(engine.eval_rule_as_json(f"{package_of(tree['ast'])}.cases"))
    except RuntimeError as error:
        return {"": one_line(error)}, lines
    return found if isinstance(found, dict) else {"": found}, lines


def _named(tree: SyntaxNode) -> Iterator[tuple[str, SyntaxNode]]:
    for rule in tree["ast"]["rules"]:
        head = rule.get("Spec", {}).get("head", {}).get("Compr", {})
        if name := head.get("refr", {}).get("Var", {}).get("value"):
            yield name, rule["Spec"]


def _load(bundle: Bundle) -> tuple[list[SyntaxNode], regorus.Engine]:
    """The tests' syntax trees, and an engine that knows rules and tests. A test that needs itself would end the process."""
    trees = parse_modules(bundle.tests)
    if problems := cycles([*parse_modules(bundle.source.modules), *trees]):
        raise BundleError(problems)
    engine = regorus.Engine()
    for file, text in bundle.source.modules + bundle.tests:
        engine.add_policy(file, text)
    engine.add_data_json(bundle.source.data)
    return trees, engine


def _problems(tree: SyntaxNode, line: int, name: str, details: Iterator[str]) -> list[Diagnostic]:
    return [
        Diagnostic(file=tree["source"]["file"], line=line, detail=f"{name}: {detail}") for detail in details
    ]


def _show(value: Any) -> str:
    return _short(msgspec.json.encode(value).decode())


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
