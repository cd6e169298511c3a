"""Tests that schema errors and other errors of a document are reported together."""

from typing import Any

import msgspec
import pytest

from gateway.core.errors import Invalid
from gateway.documents.parsing import parse
from gateway.documents.partial_checks import PartialChecks
from gateway.documents.schema_errors import field_error
from tests.gateway.documents.documents import EXECUTORS, KNOWN, LIMITS, by_pointer, document, task
from waypost.condition_evaluation.expressions import answer


def test_what_the_types_refuse_hides_no_other_mistake() -> None:
    """The sender gets schema errors and semantic errors in one response."""
    value: Any = document(
        task("a", needs=["b"], priority=11),
        task("b", needs=["a"], type="unheard-of", timeoutSeconds="1m"),
        task("c", when="1 +", needs=["gone"], run={"comand": 1}),
        task("d", run=[], when='tasks["e"].output == 1'),
        task("e", type=5, run={"x": "${params.nope}"}),
        {"name": "f"},
        engine="argo",
        schedule={"cron": "0 2 * * *"},
        sideEffects="none",
    )
    value["spec"]["tasks"].append(5)

    assert refused_with_all(value) == {
        "/spec/sideEffects": "must be one of exclusive, idempotent",
        "/spec/tasks/0/priority": "must be at most 9",
        "/spec/tasks/1/timeoutSeconds": "must be a number, not a string",
        "/spec/tasks/3/run": "must be an object, not an array",
        "/spec/tasks/4/type": "must be a string, not an integer",
        "/spec/tasks/5/type": "is required",
        "/spec/tasks/5/run": "is required",
        "/spec/tasks/6": "must be an object, not an integer",
        "/spec/schedule": "schedules are not supported yet: submit the workflow when it is to run",
        "/spec/engine": "no region has the engine argo; there are any, embedded",
        "/spec/tasks/2/needs/0": "there is no task gone",
        "/spec/tasks/0/needs": "cycle: a -> b -> a",
        "/spec/tasks/1/type": f"unheard-of is not a known executor; there are {KNOWN}",
        "/spec/tasks/2/run/command": "is required",
        "/spec/tasks/2/run/comand": "is not a field here; did you mean command?",
        "/spec/tasks/2/when": "not a CEL expression: mismatched input '<EOF>' at line 1, column 4",
        "/spec/tasks/3/when": "reads what e left: put it among the needs",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"params": []},
        {"shards": {"items": 5}},
        {"shards": {"count": "many"}},
        {"placement": 1, "params": {"a": 1}, "shards": {"items": [{"b": 2}]}},
    ],
)
def test_nothing_is_said_that_only_follows_from_another_mistake(change: dict[str, Any]) -> None:
    """A placeholder is no error if the params that it names are the error."""
    good = task(
        run={"command": ["x", "${params.a}", "${shard.item.b}"]}, when="params.a == 1 && shard.item.b == 2"
    )

    assert len(refused_with_all(document(good, **change))) == 1


def refused_with_all(value: Any) -> dict[str, str]:
    partial = PartialChecks(LIMITS, EXECUTORS, {"beijing": "embedded"})
    with pytest.raises(Invalid) as caught:
        parse(msgspec.json.encode(value), "application/json", LIMITS, partial)
    errors = list(caught.value.errors)
    if partial.trial is not None:
        first = [answer(question, partial.trial.params) for question in partial.trial.first]
        errors += partial.independent(partial.trial.errors(first, ()))
    found = by_pointer(errors)
    assert len(found) == len(errors)
    return found


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"a": [{"b": "x"}]}, "/x/a/0/b"),
        ({"a": [], "m": {"k": "x"}}, "/x/m"),
        ({"a": [{"b": 1, "c": 1}]}, "/x/a/0"),
    ],
)
def test_what_only_the_decoder_refuses_has_a_pointer_too(value: Any, pointer: str) -> None:
    """An error of msgspec looks like all others."""

    class Inner(msgspec.Struct, forbid_unknown_fields=True):
        b: int

    class Outer(msgspec.Struct):
        a: list[Inner]
        m: dict[str, int] = {}

    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Outer)
    found = field_error(caught.value, "/x")
    assert found.pointer == pointer
    assert "$" not in found.detail
