"""Runs the Rego tests of a bundle in both evaluators of the embedded engine.

A `_test.rego` file holds `test_` rules, which must be true (they may use `with`, which only the interpreter
supports), and `cases`:

    cases := {"a banned image": {
        "input": {"action": "runs:submit", ...}, "data": {...}, "want": {"allow": false, "rules": [...]}
    }}

The input of a case is evaluated for the rule that answers its action, as in a gateway. Both evaluators must
give the same complete decision, and it must contain what `want` names. A case without `data` uses that of the
bundle.
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
from gateway.policy.embedded.subset.rule_conflicts import cycles
from gateway.policy.embedded.subset.syntax_tree import SyntaxNode, package_of
from gateway.policy.question import ENTRY_POINTS
from gateway.policy.source import PolicySource

BUDGET_SECONDS: Final = 1.0
"""The most that a case may take in both evaluators together: more would be too slow in a gateway."""
REPORTED_FAILURES: Final = 3
"""The most failures of one file that are reported in full: one mistake can fail all tests."""


class RegoTestCase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input, and what the decision for it must contain."""

    input: dict[str, Any]
    want: dict[str, Any]
    data: dict[str, Any] | None = None


class RegoTestOutcome(Struct, frozen=True, kw_only=True):
    """What one test or case of a file gave: a diagnostic for each thing that is wrong, none if it passes."""

    file: str
    is_case: bool
    failures: list[Diagnostic]


class RegoTestReport(Struct, frozen=True, kw_only=True):
    """The numbers of tests and cases that were run, of those that failed, and diagnostics.

    `failures` has the first failures of each file with the line of the test, then how many more there are.
    """

    tests: int
    cases: int
    failed: int
    failures: tuple[Diagnostic, ...]

    def __str__(self) -> str:
        if self.failed:
            return f"{self.tests} tests, {self.cases} cases, {self.failed} failed"
        return f"{self.tests} tests, {self.cases} cases, both evaluators agree"


def run_rego_tests(bundle: Bundle) -> RegoTestReport:
    """Runs every test and case of the bundle.

    Raises `BundleError` if the rules or their tests cannot be evaluated at all.
    """
    outcomes = list(rego_test_outcomes(bundle))
    cases = sum(outcome.is_case for outcome in outcomes)
    tests, failed = len(outcomes) - cases, sum(bool(outcome.failures) for outcome in outcomes)
    shown: list[Diagnostic] = []
    for file in dict.fromkeys(outcome.file for outcome in outcomes):
        failures = sorted(
            outcome.failures for outcome in outcomes if outcome.file == file and outcome.failures
        )
        shown += [one for diagnostics in failures[:REPORTED_FAILURES] for one in diagnostics]
        if (more := len(failures) - REPORTED_FAILURES) > 0:
            shown.append(Diagnostic(file=file, line=0, detail=f"and {more} more of its tests and cases"))
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
    return RegoTestReport(tests=tests, cases=cases, failed=failed, failures=tuple(shown))


def rego_test_outcomes(bundle: Bundle) -> Iterator[RegoTestOutcome]:
    """Runs the tests and cases of the bundle one after the other, each when its outcome is asked for.

    Raises `BundleError` if the rules or their tests cannot be evaluated at all.
    """
    evaluators = _Evaluators(bundle.source)
    trees, engine = _load(bundle)
    for tree in trees:
        file = tree["source"]["file"]
        for name, line in _tests(tree):
            failures = _diagnostics(
                tree, line, name, _test_errors(engine, f"{package_of(tree['ast'])}.{name}")
            )
            yield RegoTestOutcome(file=file, is_case=False, failures=failures)
        found, lines = _cases(engine, tree)
        for name, case in found.items():
            failures = _diagnostics(
                tree, lines.get(name, lines[""]), f'case "{name}"', _case_errors(case, evaluators)
            )
            yield RegoTestOutcome(file=file, is_case=True, failures=failures)


def cases_of(bundle: Bundle) -> list[RegoTestCase]:
    """The cases of the bundle, so that another engine can be compared.

    Raises `BundleError`, or `msgspec.ValidationError` for a malformed case.
    """
    trees, engine = _load(bundle)
    return [
        msgspec.convert(case, RegoTestCase) for tree in trees for case in _cases(engine, tree)[0].values()
    ]


class _Evaluators:
    """Makes both evaluators for the data of a case, and keeps them for other cases with the same data."""

    def __init__(self, source: PolicySource) -> None:
        self._source = source
        self._virtual_machines = {source.data: compile_source(source)}
        self._interpreters = {source.data: Interpreter(source)}

    def of(self, data: str | None) -> tuple[VirtualMachine, Interpreter]:
        text = data or self._source.data
        if text not in self._virtual_machines:
            source = msgspec.structs.replace(self._source, data=text)
            self._virtual_machines[text], self._interpreters[text] = (
                VirtualMachine(source),
                Interpreter(source),
            )
        return self._virtual_machines[text], self._interpreters[text]


def _case_errors(case: Any, evaluators: _Evaluators) -> Iterator[str]:
    try:
        test_case = msgspec.convert(case, RegoTestCase)
        entry_point = ENTRY_POINTS[Action(test_case.input.get("action", ""))]
    except (msgspec.ValidationError, ValueError) as error:
        yield f"is not a case: {error}"
        return
    document = msgspec.json.encode(test_case.input)
    data = None if test_case.data is None else msgspec.json.encode(test_case.data).decode()
    try:
        virtual_machine, interpreter = evaluators.of(data)
        started = time.perf_counter()
        compiled = virtual_machine.evaluate(entry_point, document)
        interpreted = interpreter.evaluate(entry_point, document)
        seconds = time.perf_counter() - started
        parse_result(compiled)
    except (EvaluationError, AnswerError) as error:
        yield f"no decision: {error}"
        return
    decision = msgspec.json.decode(compiled)
    if decision != msgspec.json.decode(interpreted):
        yield f"the evaluators differ: one says {_short(compiled)}, the other {_short(interpreted)}"
    if seconds > BUDGET_SECONDS:
        yield f"took {seconds:.1f} s; {BUDGET_SECONDS} s are allowed"
    yield from _differences(decision, test_case.want, "")


def _differences(found: Any, want: Any, at: str) -> Iterator[str]:
    """A sentence for each place where `found` is not what `want` names; `at` is the path to it.

    Objects may have more fields; other values must be equal.
    """
    if isinstance(want, dict) and isinstance(found, dict) and want:
        for name, value in want.items():
            if name not in found:
                yield f"{at}{name}: wanted {_show(value)}, there is none"
            else:
                yield from _differences(found[name], value, f"{at}{name}.")
    elif found != want:
        yield f"{at.removesuffix('.')}: wanted {_show(want)}, got {_show(found)}"


def _test_errors(engine: regorus.Engine, rule: str) -> Iterator[str]:
    try:
        value = engine.eval_rule_as_json(rule)
    except RuntimeError as error:
        yield one_line(error)
        return
    if value != "true":
        yield f"is {_short(value)}, not true"


def _tests(tree: SyntaxNode) -> Iterator[tuple[str, int]]:
    """Name and line of each `test_` rule. A rule with several bodies is one test."""
    seen = set()
    for name, rule in _named_rules(tree):
        if name.startswith("test_") and name not in seen:
            seen.add(name)
            yield name, rule["span"]["line"]


def _cases(engine: regorus.Engine, tree: SyntaxNode) -> tuple[Mapping[str, Any], Mapping[str, int]]:
    """The cases of a test module by name, and the line of each; under "" that of the rule `cases`."""
    rule = next((rule for name, rule in _named_rules(tree) if name == "cases"), None)
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


def _named_rules(tree: SyntaxNode) -> Iterator[tuple[str, SyntaxNode]]:
    for rule in tree["ast"]["rules"]:
        head = rule.get("Spec", {}).get("head", {}).get("Compr", {})
        if name := head.get("refr", {}).get("Var", {}).get("value"):
            yield name, rule["Spec"]


def _load(bundle: Bundle) -> tuple[list[SyntaxNode], regorus.Engine]:
    """The syntax trees of the tests, and an engine with rules and tests. Raises `BundleError`."""
    # regorus 0.13 recurses without end on a rule that needs itself, and takes the process with it: a test may
    # be one.
    trees = parse_modules(bundle.tests)
    if diagnostics := cycles([*parse_modules(bundle.source.modules), *trees]):
        raise BundleError(diagnostics)
    engine = regorus.Engine()
    for file, text in bundle.source.modules + bundle.tests:
        engine.add_policy(file, text)
    engine.add_data_json(bundle.source.data)
    return trees, engine


def _diagnostics(tree: SyntaxNode, line: int, name: str, details: Iterator[str]) -> list[Diagnostic]:
    return [
        Diagnostic(file=tree["source"]["file"], line=line, detail=f"{name}: {detail}") for detail in details
    ]


def _show(value: Any) -> str:
    return _short(msgspec.json.encode(value).decode())


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
