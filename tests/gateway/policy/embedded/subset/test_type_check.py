"""Arguments of calls and operators have types that are known before a gateway starts."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.decision import Action
from gateway.policy.bundle import SHIPPED_POLICIES, BundleError
from gateway.policy.embedded.compilation import compile_source, load_bundle
from gateway.policy.embedded.evaluator import Interpreter
from gateway.policy.embedded.rego_tests import cases_of
from gateway.policy.question import ENTRY_POINTS

REFUSAL = 'refusals contains {"rule": "own", "message": "no"} if {\n'
TARGET = "input.workflow.spec.params.target"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the shipped policies, to be extended."""
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


def found(policies: Path, rules: str, package: str = "odd") -> str:
    """The diagnostics about `rules`, which begin on line 3."""
    (policies / "odd.rego").write_text(f"package waypost.{package}\nimport rego.v1\n{rules}\n")
    try:
        compile_source(load_bundle(policies, None).source)
    except BundleError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            f'startswith({TARGET}, "prod")',
            "startswith needs a string, and this may be something else: test it first, with is_string(...)",
        ),
        (
            "startswith(input.workflow.metadata.name, 3)",
            "startswith needs a string, and this is something else",
        ),
        (
            "input.workflow.spec.priority / 0 > 1",
            "what / divides by must be a number that is written out, and not 0: it would fail on 0",
        ),
        (
            "input.workflow.spec.priority / input.workflow.spec.priority > 1",
            "what / divides by must be a number that is written out, and not 0: it would fail on 0",
        ),
        ("1.5 % 2 == 1", "% needs a whole number, and this is something else"),
        (
            "input.workflow.spec.dataClass == lower(input.workflow.spec.dataClass)",
            "lower needs a string, and this may be something else",
        ),
        (
            f"count({TARGET}) > 3",
            "count needs an array, an object, a set or a string, and this may be something else",
        ),
        (
            f"{TARGET} + 1 > 3",
            "+ needs a number, and this may be something else: test it first, with is_number(...)",
        ),
        (f"count({TARGET} - {{1}}) > 3", "- needs a set, and this may be something else"),
        (
            f"count({TARGET} & {{1}}) > 3",
            "& needs a set, and this may be something else: collect it, with {x | some x in ...}",
        ),
        (f'x = {TARGET}\n not startswith(x, "prod")', "startswith needs a string"),
        (
            'some item in input.workflow.spec.shards.items\n startswith(item, "a")',
            "startswith needs a string",
        ),
        (
            'some task in input.workflow.spec.tasks\n startswith(task.run.image, "a")',
            "startswith needs a string",
        ),
        (f'x = [1 | startswith({TARGET}, "a")]\n count(x) > 0', "startswith needs a string"),
        (f'startswith({TARGET}, "a")\n is_string({TARGET})', "startswith needs a string"),
        (
            f'x = [1 | is_string({TARGET})]\n count(x) > 0\n startswith({TARGET}, "a")',
            "startswith needs a string",
        ),
        (f'not is_string({TARGET})\n startswith({TARGET}, "a")', "startswith needs a string"),
        (
            f'x = {TARGET}\n is_string(x)\n y = [x | some x in [1]; startswith(x, "a")]\n count(y) > 0',
            "startswith needs a string",
        ),
        (
            f'x = {TARGET}\n is_array(x)\n concat(",", x) == "a"',
            "concat needs an array or a set of strings",
        ),
        (
            'concat(",", ["a", 1]) == "a"',
            "concat needs an array or a set of strings, and this may be something else: collect",
        ),
        (
            "format_int(3, input.workflow.spec.priority) == `1`",
            "the base of format_int must be written out: 2, 8, 10 or 16",
        ),
        (
            "substring(`a`, input.workflow.spec.priority - 3, 1) == `1`",
            "where substring begins must be written out",
        ),
        ('sprintf("%d", [input.workflow.spec.deadlineSeconds]) == `1`', "%d of sprintf needs a whole number"),
        (
            f"some x in {TARGET}\n x == 1",
            "some .. in needs an array, an object or a set, and this may be something else: test it first",
        ),
        (f"every x in {TARGET} {{ x == 1 }}", "some .. in needs an array, an object or a set"),
        (
            "some x in input.workflow.spec.shards.items\n x == 1",
            "some .. in needs an array, an object or a set",
        ),
        (f'named\n startswith({TARGET}, "a")', "startswith needs a string"),
        (f'lax\n startswith({TARGET}, "a")', "startswith needs a string"),
        (f'x = {TARGET}\n odd(x)\n startswith(x, "a")', "startswith needs a string"),
        (
            "hex.decode(input.workflow.metadata.name) == `1`",
            "hex.decode is not among the builtins of the embedded engine: it fails on",
        ),
        (
            "object.union_n([input.workflow.spec.params.target]) == {}",
            "object.union_n needs an array of objects",
        ),
    ],
)
def test_what_may_fail_is_refused(shipped: Path, body: str, detail: str) -> None:
    """The virtual machine takes a failed call for undefined.

    The rule would deny nothing, and `["prod-1"]` would get in.
    """
    lax = f"lax if is_string({TARGET})\nlax if input.at\nnamed contains 1 if is_string({TARGET})\n"
    lax += "odd(x) if not is_string(x)\n"
    said = found(shipped, f"{lax}{REFUSAL} {body}\n}}")
    assert f": {detail}" in said
    assert said.startswith("odd.rego:")


def test_it_is_said_on_which_line(shipped: Path) -> None:
    """Every mistake is reported at once, with its line."""
    said = found(shipped, f'{REFUSAL} startswith({TARGET}, "a")\n input.at / 0 > 1\n}}')
    assert [line.split(": ")[0] for line in said.splitlines()] == ["odd.rego:4", "odd.rego:5"]


@pytest.mark.parametrize(
    "body",
    [
        f'is_string({TARGET})\n startswith({TARGET}, "prod")',
        f'x = {TARGET}\n is_string(x)\n startswith(x, "prod")',
        f'x = {TARGET}\n word(x)\n startswith(x, "prod")',
        f'worded\n startswith({TARGET}, "prod")',
        f'x = {TARGET}\n is_string(x)\n not startswith(x, "prod")',
        f'x = {TARGET}\n is_string(x)\n y = [1 | startswith(x, "prod")]\n count(y) > 0',
        'startswith(input.workflow.metadata.name, "prod")',
        'some name, value in input.workflow.metadata.labels\n startswith(name, "a")\n endswith(value, "b")',
        'input.workflow.spec.dataClass != null\n startswith(input.workflow.spec.dataClass, "a")',
        "some task in input.workflow.spec.tasks\n some need in task.needs\n contains(need, task.name)",
        'some banned in data.banned_images\n startswith("a", banned)',
        "input.workflow.spec.priority % 2 == 1",
        "input.workflow.spec.priority / 2 > 1",
        "x = split(input.workflow.metadata.name, `-`)\n startswith(x[0], `prod`)",
        "x = {low | some task in input.workflow.spec.tasks; low = lower(task.name)}\n concat(`,`, x) == `a`",
        "every task in input.workflow.spec.tasks { startswith(task.name, `a`) }",
        "count(names - {`a`}) + 1 > 2",
        f"x = {TARGET}\n x == 3\n x + 1 > 3",
        f"is_array({TARGET})\n some x in {TARGET}\n is_number(x)\n x + 1 > 2",
        "is_array(input.workflow.spec.shards.items)\n some x in input.workflow.spec.shards.items\n x == 1",
        "x = input.workflow.spec.priority\n is_number(x)\n x % 2 == 1",
        "x = {name: size | some name, v in input.workflow.metadata.labels; size = count(v)}\n"
        " some a, b in x\n a != `b`\n b % 2 == 1",
        'sprintf("%d of %v", [input.workflow.spec.priority, input.workflow.spec.params]) == `1`',
    ],
)
def test_what_cannot_fail_is_taken(shipped: Path, body: str) -> None:
    """The type is known from a test, a literal, the schemas, or a result of known type."""
    rules = f"word(x) if is_string(x)\nworded if is_string({TARGET})\n"
    rules += "names contains name if { some task in input.workflow.spec.tasks; name = task.name }\n"
    assert found(shipped, f"{rules}{REFUSAL} {body}\n}}") == ""


@pytest.mark.parametrize(
    ("target", "refused"),
    [('"prod-1"', True), ('"test"', False), ('["prod-1"]', True), ("7", True), ("null", True), ("{}", True)],
)
def test_a_guarded_rule_answers_alike_in_both_evaluators(shipped: Path, target: str, refused: bool) -> None:
    """A rule refuses what is not text, and neither evaluator fails on it."""
    rules = f'{REFUSAL} is_string({TARGET})\n startswith({TARGET}, "prod")\n}}\n'
    rules += f"{REFUSAL} {TARGET} == {TARGET}\n not worded\n}}\n"
    assert found(shipped, f"{rules}worded if is_string({TARGET})", package="document") == ""
    bundle = load_bundle(shipped, None)
    permitted = next(
        case.input
        for case in cases_of(bundle)
        if case.want["allow"] and case.input["action"] == Action.RUNS_SUBMIT
    )
    asked: Any = msgspec.json.decode(msgspec.json.encode(permitted))
    asked["workflow"]["spec"]["params"] = {"target": msgspec.json.decode(target)}
    question = ENTRY_POINTS[Action.RUNS_SUBMIT], msgspec.json.encode(asked)
    answers = [
        msgspec.json.decode(one.evaluate(*question))
        for one in (compile_source(bundle.source), Interpreter(bundle.source))
    ]
    assert answers[0] == answers[1]
    assert ("own" in answers[0]["rules"]) is refused


def test_what_a_rule_that_needs_itself_is_worth_is_not_asked_for_ever(shipped: Path) -> None:
    """Such a rule is refused elsewhere, but type inference comes before and must end too."""
    assert "count needs" in found(
        shipped, "a := b\n\nb := a\n\nf(x) if f(x)\n\nc if { f(1); count(a) > 1 }\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        '"no"',
        '{"rule": "own"}',
        '{"rule": "own", "message": 1}',
        '["own", "no"]',
        '{"rule": "own", "mesage": "no"}',
    ],
)
def test_a_refusal_that_cannot_be_read_is_refused(shipped: Path, head: str) -> None:
    """Otherwise it would be a fault when the first caller is refused."""
    assert found(shipped, f"refusals contains {head} if input.at > 1").startswith(
        'odd.rego:3: a refusal is {"rule": a stable id, "message"'
    )
