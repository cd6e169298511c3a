"""Runs the Rego tests of bundles; and whether those of the shipped policies notice a missing rule."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from gateway.cli import policy
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, BundleError
from gateway.policy.embedded import compilation, rego_tests
from gateway.policy.embedded.compilation import load_bundle, parse_modules
from gateway.policy.embedded.rego_tests import rego_test_outcomes, run_rego_tests
from gateway.policy.embedded.subset.syntax_tree import SyntaxNode

BUNDLE = load_bundle(SHIPPED_POLICIES, None)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


def without_each_rule() -> Iterator[tuple[str, Bundle]]:
    """For each rule of the bundle, the bundle without it."""
    for tree in parse_modules(BUNDLE.source.modules):
        file, text = tree["source"]["file"], tree["source"]["contents"].encode()
        for rule in tree["ast"]["rules"]:
            span = next(iter(rule.values()))["span"]
            cut = (text[: span["start"]] + text[span["end"] :]).decode()
            modules = tuple((name, cut if name == file else rest) for name, rest in BUNDLE.source.modules)
            source = msgspec.structs.replace(BUNDLE.source, modules=modules)
            # The tests beside the rule come first: they are the likeliest to fail.
            tests = tuple(sorted(BUNDLE.tests, key=lambda test: Path(test[0]).parent != Path(file).parent))
            yield f"{file}:{span['line']}", msgspec.structs.replace(BUNDLE, source=source, tests=tests)


@cache
def parsed(module: tuple[str, str]) -> list[SyntaxNode]:
    return parse_modules([module])


def parse_changed_modules(modules: Sequence[tuple[str, str]]) -> list[SyntaxNode]:
    """What `parse_modules` returns; it parses only what it has not seen: one module in eleven is changed."""
    return [tree for module in modules for tree in parsed(module)]


def test_the_rules_that_ship_pass_their_tests(capsys: pytest.CaptureFixture[str]) -> None:
    """Both evaluators pass them, and the report says how many there are."""
    assert policy.test(SHIPPED_POLICIES) == 0
    assert capsys.readouterr().out == f"{run_rego_tests(BUNDLE)}\n"
    assert run_rego_tests(BUNDLE).cases > 90


@pytest.mark.parametrize(
    ("place", "bundle"), list(without_each_rule()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_rule_can_be_taken_out_unnoticed(
    place: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no test fails without a rule, nobody would notice that it is gone. One that fails is enough."""
    for module in (compilation, rego_tests):
        monkeypatch.setattr(module, "parse_modules", parse_changed_modules)
    try:
        noticed = any(outcome.failures for outcome in rego_test_outcomes(bundle))
    except BundleError:
        noticed = True
    assert noticed


def test_a_case_that_fails_is_named_with_its_line(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line can be opened from the current folder, beside what was wanted and what came."""
    path = shipped / "placement" / "placement_test.rego"
    path.write_text(
        path.read_text().replace('"regions": ["beijing", "shanghai"]}', '"regions": ["beijing"]}')
    )
    assert policy.test(shipped) == 1
    first, last = capsys.readouterr().out.splitlines()
    line = next(
        number
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if '"a data class": case' in text
    )
    assert (
        first == f'{path}:{line}: case "a data class": obligations.regions: wanted ["beijing"], '
        'got ["beijing","shanghai"]'
    )
    assert last.endswith("1 failed")


def test_a_test_rule_that_is_not_true_is_named_with_its_line(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Undefined is not true either."""
    path = shipped / "placement" / "placement_test.rego"
    lines = len(path.read_text().splitlines())
    path.write_text(path.read_text() + "\ntest_nothing if 1 == 2\n")
    assert policy.test(shipped) == 1
    assert f"{path}:{lines + 2}: test_nothing: is " in capsys.readouterr().out


def test_rules_that_answer_differently_in_both_evaluators_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two values of one rule: a conflict to one evaluator, undefined to the other."""
    allow = '{"allow": true, "rules": [input.x], "reasons": [], "obligations": {}}'
    write_rules(
        tmp_path,
        f'decision := {allow} if input.x == "a"\ndecision := {allow.replace("[input.x]", "[]")} if input.x\n',
    )
    (tmp_path / "a_test.rego").write_text(
        "package waypost.a_test\nimport rego.v1\n"
        'cases := {"two answers": {"input": {"action": "runs:submit", "x": "a"}, "want": {"allow": true}}}\n'
    )
    assert policy.test(tmp_path) == 1
    assert 'a_test.rego:3: case "two answers": ' in capsys.readouterr().out


def test_rules_without_tests_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No failure is no success if nothing was run."""
    write_rules(tmp_path, "decision := 1\n")
    assert policy.test(tmp_path) == 1
    assert "have no tests" in capsys.readouterr().out


def test_a_case_for_no_action_is_not_a_case(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No rule would be evaluated for it, and it would always pass."""
    (shipped / "odd_test.rego").write_text(
        "package odd_test\nimport rego.v1\n"
        'cases := {"odd": {"input": {}, "want": {}}, "none": 1, "more": {"input": {}, "wish": {}}}\n'
    )
    assert policy.test(shipped) == 1
    said = capsys.readouterr().out
    assert 'odd_test.rego:3: case "odd": is not a case' in said
    assert 'odd_test.rego:3: case "none": is not a case' in said
    assert 'odd_test.rego:3: case "more": is not a case' in said


def test_check_names_the_revision(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the revision of a gateway with these rules."""
    assert policy.check(SHIPPED_POLICIES) == 0
    assert capsys.readouterr().out == f"revision {BUNDLE.revision}: {len(BUNDLE.source.modules)} modules\n"


def test_check_refuses_with_file_and_line(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules outside the subset are reported before a gateway starts with them."""
    path = shipped / "answer" / "answer.rego"
    path.write_text("package waypost.answer\nimport rego.v1\nx if not http.send({})\n")
    assert policy.check(shipped) == 1
    assert f"{path}:3: http.send is not among" in capsys.readouterr().out


def test_rules_that_give_no_decision_fail(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed reason makes every decision a fault: all callers would get 503."""
    path = shipped / "document" / "document.rego"
    path.write_text(path.read_text() + '\nsaid(x) := x\n\nrefusals contains x if x = said("just a string")\n')
    assert policy.test(shipped) == 1
    assert (
        "no decision: the rules' answer is not a decision: Expected `object`, got `str`"
        in capsys.readouterr().out
    )


def test_a_test_that_needs_itself_is_refused(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the process of the command would end without output."""
    (shipped / "odd_test.rego").write_text("package odd_test\nimport rego.v1\ntest_a if not test_a\n")
    assert policy.test(shipped) == 1
    assert (
        "odd_test.rego:3: a rule cannot need itself: data.odd_test.test_a -> data.odd_test.test_a"
        in capsys.readouterr().out
    )


def test_one_mistake_that_fails_everything_is_reported_in_few_lines(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each file the first failures are reported in full, then how many more there are."""
    path = shipped / "caller" / "caller.rego"
    path.write_text(path.read_text() + '\nrefusals contains {"rule": "odd", "message": "odd"} if true\n')
    assert policy.test(shipped) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "more of its tests and cases" in line] != []
    assert len(lines) <= 40
    assert int(last.split()[-2]) > 90


def write_rules(folder: Path, submission: str) -> None:
    for package in ("placement", "access"):
        (folder / f"{package}.rego").write_text(
            f"package waypost.{package}\nimport rego.v1\ndecision := 1 if false\n"
        )
    (folder / "submission.rego").write_text(f"package waypost.submission\nimport rego.v1\n{submission}")
    (folder / "data").mkdir()
    (folder / "data" / "waypost.json").write_text("{}")
    (folder / "schemas").mkdir(exist_ok=True)
    for name in ("input", "data"):
        (folder / "schemas" / f"{name}.json").write_text("{}")


@pytest.mark.integration
def test_a_reader_that_goes_away_is_no_accident() -> None:
    """`waypost policy check policies | head` ends with its own exit code and no stack trace."""
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "policy", "check", str(SHIPPED_POLICIES)],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")
