"""Runs the Rego tests of bundles; and whether those of the shipped policies notice a missing rule."""

from collections.abc import Iterator

import msgspec
import pytest

from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, BundleError
from gateway.policy.embedded.interpreter import parse_modules
from gateway.policy.embedded.loading import load_bundle
from gateway.policy.embedded.rego_tests import run_rego_tests
from gateway.policy.embedded.syntax_tree import extent
from gateway.policy.source import PolicySource

SHIPPED = load_bundle(SHIPPED_POLICIES, None)


def bundle_of(tests: str, rules: str = "package a\n") -> Bundle:
    source = PolicySource(modules=(("a.rego", rules),), data="{}", entry_points=())
    return Bundle(source=source, tests=(("a_test.rego", tests),), schemas={}, revision="")


def failures(tests: str, rules: str = "package a\n") -> list[str]:
    return [str(failure) for failure in run_rego_tests(bundle_of(tests, rules)).failures]


def without_each_rule() -> Iterator[tuple[str, Bundle]]:
    """For each rule of the bundle, the bundle without it."""
    for module in parse_modules(SHIPPED.source.modules):
        for rule in module.rules:
            start, end = extent(module, rule)
            cut = (module.text[:start] + module.text[end:]).decode()
            modules = tuple(
                (name, cut if name == module.file else text) for name, text in SHIPPED.source.modules
            )
            source = msgspec.structs.replace(SHIPPED.source, modules=modules)
            line = module.text[:start].count(b"\n") + 1
            yield f"{module.file}:{line}", msgspec.structs.replace(SHIPPED, source=source)


def test_the_rules_that_ship_pass_their_tests() -> None:
    """A hundred and more, of every rule what it refuses and what it does not."""
    report = run_rego_tests(SHIPPED)
    assert report.failures == ()
    assert report.tests > 120


@pytest.mark.parametrize(
    ("place", "bundle"), list(without_each_rule()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_rule_can_be_taken_out_unnoticed(place: str, bundle: Bundle) -> None:
    """If no test fails without a rule, nobody would notice that it is gone."""
    try:
        report = run_rego_tests(bundle)
    except BundleError:
        return
    assert report.failures != ()


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


def test_a_house_rule_breaks_no_test_of_what_ships() -> None:
    """A mandatory label, which no document of the fixtures has: only the house's own tests know of it."""
    rule = (
        'package waypost.house\nsubmit contains {"rule": "labels.team", "message": "team"} if not has_team\n'
    )
    rule += "has_team if input.workflow.metadata.labels.team\n"
    modules = (*SHIPPED.source.modules, ("house/labels.rego", rule))
    source = msgspec.structs.replace(SHIPPED.source, modules=modules)
    assert run_rego_tests(msgspec.structs.replace(SHIPPED, source=source)).failures == ()
