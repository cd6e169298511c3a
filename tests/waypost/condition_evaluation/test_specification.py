"""Tests conditions by the specification of CEL, case by case."""

import os
from importlib.resources import files

import pytest

from tests.waypost.condition_evaluation.specification_cases import ERRORS, PARAMS, TRUE
from waypost.condition_evaluation.expressions import answer
from waypost.condition_evaluation.messages import ConditionQuestion


@pytest.mark.parametrize("text", TRUE)
def test_what_the_specification_calls_true_is_true(text: str) -> None:
    """Sizes in code points, instants in UTC, numbers on one line, errors that `||` absorbs, and so on."""
    found = answer(ConditionQuestion(text=text), PARAMS)

    assert (found.error, found.holds) == ("", True)


@pytest.mark.parametrize("text", ERRORS)
def test_what_the_specification_calls_an_error_is_not_answered(text: str) -> None:
    """Overflow, types that do not fit, what is not there, and texts that are no time or pattern."""
    assert answer(ConditionQuestion(text=text), PARAMS).error


@pytest.mark.parametrize(
    "text",
    [
        "timestamp(tasks.a.output) > timestamp(0)",
        'int(tasks["a"].output) == 7',
        "{1u: 1, tasks.a.output: 2} != {}",
    ],
)
@pytest.mark.parametrize("output", ["2026-1-31T10:00:00Z", " 7"])
def test_what_a_task_left_is_read_as_strictly(text: str, output: str) -> None:
    """It is seen at evaluation first, in the region."""
    assert answer(ConditionQuestion(text=text, outputs={"a": output}), {}).error


@pytest.mark.parametrize(
    "text", ['timestamp("2026-1-1T00:00:00Z") == tasks.a.output', "{1: 1, 1u: 2} == tasks.a.output"]
)
def test_what_is_known_to_be_wrong_is_refused_when_it_is_compiled(text: str) -> None:
    """The outputs are not known before the run, but this is."""
    assert answer(ConditionQuestion(text=text, before_run=True), {}).error


def test_the_time_zones_come_with_the_library() -> None:
    """Where a system has none, a region would fail what the gateway accepted."""
    names = sorted((files("tzdata") / "zones").read_text().split())
    condition = " && ".join(f'timestamp(0).getHours("{name}") >= 0' for name in names[:15])

    assert (len(names) > 400, os.environ["TZDIR"]) == (True, str(files("tzdata") / "zoneinfo"))
    assert answer(ConditionQuestion(text=condition), {}).holds is True
