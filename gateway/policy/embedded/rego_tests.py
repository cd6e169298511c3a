"""Runs the Rego tests of a policy bundle, as `opa test` does: rules named `test_...` that must be true.

`todo_test_...` is left out. Every rule is a test of its own, also where two have one name.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from gateway.policy.bundle import Bundle
from gateway.policy.embedded.gate import NOT_HERE, check_rules
from gateway.policy.embedded.interpreter import (
    EvaluationError,
    Interpreter,
    PreparedRules,
    parse_modules,
    prepare_rules,
)
from gateway.policy.embedded.syntax_tree import Edit, Module, head_of, is_plain, path_of
from gateway.policy.source import BundleError, Diagnostic

TEST_PREFIX = "test_"


class RegoTest(Struct, frozen=True, kw_only=True):
    """A Rego test: its file and line, its name, and the full name of the rule to evaluate."""

    file: str
    line: int
    name: str
    rule: str


class RegoTestReport(Struct, frozen=True, kw_only=True):
    """The result of running Rego tests: how many were run, and a diagnostic for each that failed."""

    tests: int
    failures: tuple[Diagnostic, ...]

    def __str__(self) -> str:
        return f"{self.tests} tests, {len(self.failures)} failed"


def run_rego_tests(bundle: Bundle) -> RegoTestReport:
    """Runs every Rego test of a policy bundle; without any test, reports that as a failure.

    Raises `BundleError` if the rules or their tests cannot be evaluated at all.
    """
    rules, tests = prepare_rego_tests(bundle)
    failures = list(failures_of(Interpreter(rules), tests))
    if not tests:
        failures = [
            Diagnostic(file="rules", line=0, detail="have no tests: no rule test_... in a _test.rego file")
        ]
    return RegoTestReport(tests=len(tests), failures=tuple(failures))


def prepare_rego_tests(bundle: Bundle) -> tuple[PreparedRules, list[RegoTest]]:
    """Rewrites a bundle's modules and test modules for the interpreter, and lists the tests in them.

    Raises `BundleError` for invalid Rego, and for rules or tests that OPA would evaluate otherwise.
    """
    modules = parse_modules(bundle.tests)
    found = check_rules([*parse_modules(bundle.source.modules), *modules])
    # A builtin that differs keeps no test from running: a test that needs its other answer fails.
    if diagnostics := [one for one in found if NOT_HERE not in one.detail]:
        raise BundleError(diagnostics)
    written = [(module, *_numbered(module)) for module in modules]
    rules = prepare_rules(bundle.source, tests=[(module.file, text) for module, text, _ in written])
    return rules, [test for _, _, found in written for test in found]


def failures_of(interpreter: Interpreter, tests: Iterable[RegoTest]) -> Iterator[Diagnostic]:
    """Runs the given Rego tests one by one; yields a diagnostic for each that fails."""
    for test in tests:
        if error := _error(interpreter, test):
            yield Diagnostic(file=test.file, line=test.line, detail=f"{test.name}: {error}")


def _numbered(module: Module) -> tuple[str, list[RegoTest]]:
    """Renames a module's Rego tests so that no two have one name; returns the new text and the tests."""
    seen, tests, edits = Counter[str](), list[RegoTest](), list[Edit]()
    for rule in module.rules:
        name = head_of(rule)["refr"]
        if not is_plain(name) or not (short := ".".join(path_of(name))).startswith(TEST_PREFIX):
            continue
        span = next(iter(name.values()))["span"]
        suffix = f"_{seen[short]}" if seen[short] else ""
        edits.append((span["end"], span["end"], suffix))
        full = ".".join((*module.package, short)) + suffix
        shown = f"{short}#{seen[short]:02}" if seen[short] else short
        tests.append(RegoTest(file=module.file, line=span["line"], name=shown, rule=full))
        seen[short] += 1
    return module.edited(edits), tests


def _error(interpreter: Interpreter, test: RegoTest) -> str:
    try:
        value = interpreter.evaluate(test.rule, b"{}")
    except EvaluationError as error:
        return str(error)
    return "" if value == "true" else f"is {' '.join(value.split())[:200]}, not true"
