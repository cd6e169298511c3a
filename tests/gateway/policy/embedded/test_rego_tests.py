"""Tests the running of Rego tests, and that the shipped tests notice every missing rule."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.interpreter import Interpreter, PreparedRules, parse_modules
from gateway.policy.embedded.rego_tests import (
    RegoTest,
    failures_of,
    prepare_rego_tests,
    run_rego_tests,
)
from gateway.policy.embedded.syntax_tree import Module, extent, only
from gateway.policy.source import BundleError, PolicySource

SHIPPED = read_bundle(SHIPPED_POLICIES, None)


def bundle_of(tests: str, rules: str = "package a\n") -> Bundle:
    source = PolicySource(modules=(("a.rego", rules),), data="{}", entry_points=())
    return Bundle(source=source, tests=(("a_test.rego", tests),), schemas={}, revision="")


def failures(tests: str, rules: str = "package a\n") -> list[str]:
    return [str(failure) for failure in run_rego_tests(bundle_of(tests, rules)).failures]


def each_rule() -> Iterator[object]:
    """Yields each shipped rule, by its file and its number in it."""
    for module in parse_modules(SHIPPED.source.modules):
        for number, rule in enumerate(module.rules):
            line = only(rule)[1]["span"]["line"]
            yield pytest.param(module.file, number, id=f"{module.file}:{line}")


@cache
def prepared() -> tuple[PreparedRules, list[RegoTest], dict[str, Module]]:
    """Returns the shipped rules and their tests prepared for evaluation, with their modules.

    To make them takes ten times as long as to load and evaluate them, so rules are cut out of what was made.
    """
    rules, tests = prepare_rego_tests(SHIPPED)
    return rules, tests, {module.file: module for module in parse_modules(rules.modules)}


def without(file: str, number: int) -> PreparedRules:
    rules, _, modules = prepared()
    start, end = extent(modules[file], modules[file].rules[number])
    text = modules[file].text
    cut = (text[:start] + text[end:]).decode()
    return msgspec.structs.replace(
        rules, modules=tuple((name, cut if name == file else whole) for name, whole in rules.modules)
    )


def first_failure(rules: PreparedRules, folder: str | None = None) -> str:
    """Returns the first failure of the shipped tests; with `folder` only of those in it."""
    left_out = set[str]()
    if folder is not None:
        near = (Path(folder), Path())  # the fixtures stand above all
        left_out = {test.file for test in prepared()[1] if Path(test.file).parent not in near}
    modules = tuple(module for module in rules.modules if module[0] not in left_out)
    tests = [test for test in prepared()[1] if test.file not in left_out]
    try:
        interpreter = Interpreter(msgspec.structs.replace(rules, modules=modules))
    except BundleError as error:
        return str(error)
    return next((str(failure) for failure in failures_of(interpreter, tests)), "")


def test_the_rules_that_ship_pass_their_tests() -> None:
    """A hundred and more, of every rule what it refuses and what it does not."""
    report = run_rego_tests(SHIPPED)
    assert report.failures == ()
    assert report.tests > 120


@pytest.mark.parametrize(("file", "number"), list(each_rule()))
def test_no_rule_can_be_taken_out_unnoticed(file: str, number: int) -> None:
    """If no test fails without a rule, nobody would notice that it is gone. One that fails is enough."""
    # The tests beside the rule are the likeliest to fail, and to load all takes longer than to run them.
    rules = without(file, number)
    assert first_failure(rules, str(Path(file).parent)) or first_failure(rules)


def test_the_tests_of_each_folder_pass_by_themselves() -> None:
    """Otherwise a rule that is taken out would be noticed by what else is missing there."""
    rules, tests, _ = prepared()
    folders = {str(Path(test.file).parent) for test in tests}
    assert {folder: first_failure(rules, folder) for folder in folders} == dict.fromkeys(folders, "")


@pytest.mark.parametrize(
    ("tests", "found"),
    [
        ("package a_test\ntest_x if 1 == 1\n", []),
        ("package a_test\n\ntest_x if 1 == 2\n", ['a_test.rego:3: test_x: is "<undefined>", not true']),
        ("package a_test\ntest_x := 1\n", ["a_test.rego:2: test_x: is 1, not true"]),
        ("package a_test\ntest_x if 1 / 0 == 1\n", ["a_test.rego:2: test_x: a_test.rego:2: divide by zero"]),
        ("package a_test\ntodo_test_x if 1 == 2\ntest_y if true\n", []),
    ],
)
def test_a_test_is_a_rule_that_must_be_true(tests: str, found: list[str]) -> None:
    """Undefined is not true, nor is a failure; a test that is still to be written is left out."""
    assert failures(tests) == found


def test_two_tests_of_one_name_are_two_tests() -> None:
    """As in `opa test`: one that holds must not hide one that does not."""
    tests = "package a_test\ntest_x if 1 == 1\ntest_x if 1 == 2\n"
    assert failures(tests) == ['a_test.rego:3: test_x#01: is "<undefined>", not true']


def test_rules_without_tests_fail() -> None:
    """No failure is no success if nothing was run."""
    assert failures("package a_test\nx := 1\n") == [
        "rules: have no tests: no rule test_... in a _test.rego file"
    ]


def test_a_test_that_needs_itself_is_refused() -> None:
    """Otherwise the process of the command would end without output."""
    with pytest.raises(BundleError, match=r"^a_test\.rego:2: a rule cannot need itself"):
        run_rego_tests(bundle_of("package a_test\ntest_x if test_x\n"))


def test_a_test_that_opa_would_answer_otherwise_is_refused() -> None:
    """It passes here and fails there; a builtin that differs is the test's own affair."""
    tests = 'package a_test\ntest_x if { {"a": n} = {"a": 1, "b": 2}; n == 1 }\n'
    with pytest.raises(BundleError, match=r"^a_test\.rego:2: an object with names in a pattern"):
        run_rego_tests(bundle_of(tests))
    assert failures('package a_test\ntest_x if json.marshal({"a": 1}) == `{"a":1}`\n') == []


def test_a_house_rule_breaks_no_test_of_what_ships() -> None:
    """A mandatory label, which no document of the fixtures has: only the house's own tests know of it."""
    rule = (
        'package waypost.house\nsubmit contains {"rule": "labels.team", "message": "team"} if not has_team\n'
    )
    rule += "has_team if input.workflow.metadata.labels.team\n"
    modules = (*SHIPPED.source.modules, ("house/labels.rego", rule))
    source = msgspec.structs.replace(SHIPPED.source, modules=modules)
    assert run_rego_tests(msgspec.structs.replace(SHIPPED, source=source)).failures == ()
