"""Tests that a region gets only work whose document asks for nothing that its cluster does not know."""

from typing import Any, Final

import pytest
from msgspec import structs

from clusters.features import AFTER_FAILURE, ARTIFACTS, FEATURES, RETRY_CAUSES, SEMAPHORES, features_asked
from gateway.regions.filters import can_serve, refusal
from gateway.regions.placement_demand import Demand
from tests.gateway.regions.test_placement import EVERYWHERE, REPORTED, WELL
from waypost.workflow.task import Retry, TaskSpec


def test_a_region_gets_no_work_that_its_cluster_does_not_know() -> None:
    """A cluster of an older version refuses, or ignores, fields that it does not know."""
    tasks = (TaskSpec(name="a", type="delay", run={}, runs="always"),)
    demand = Demand(permitted=EVERYWHERE, features=features_asked(tasks, fail_fast=True, secrets=False))

    assert refusal(demand, WELL) == "its cluster cannot do after-failure yet"
    assert not can_serve(demand, WELL)
    newer = structs.replace(WELL, status=structs.replace(REPORTED, features=FEATURES))
    assert refusal(demand, newer) is None


@pytest.mark.parametrize(
    ("fields", "fail_fast", "asked"),
    [
        ({}, True, set()),
        ({"when": 'tasks["b"].output > 1'}, True, set()),
        ({"runs": "onSuccess"}, True, {AFTER_FAILURE}),
        ({}, False, {AFTER_FAILURE}),
        ({"continue_on_failure": True}, True, {AFTER_FAILURE}),
        ({"when_skipped": "skip"}, True, {AFTER_FAILURE}),
        ({"when": 'tasks["b"].phase == "Failed"'}, True, {AFTER_FAILURE}),
        ({"retry": Retry(on=(75,))}, True, {RETRY_CAUSES}),
        ({"semaphore": "db"}, True, {SEMAPHORES}),
        ({"source": {"file": {"storage": "a", "path": "b"}}}, True, {ARTIFACTS}),
        ({"target": {"s3": {"storage": "a", "path": "b"}}}, True, {ARTIFACTS}),
        ({"source": {"s3": {"path": "b"}}, "target": {"mysql": {}}}, True, set()),
    ],
)
def test_a_document_asks_for_what_it_uses(fields: dict[str, Any], fail_fast: bool, asked: set[str]) -> None:
    task = TaskSpec(name="a", type="delay", run={}, **fields)
    assert features_asked((task,), fail_fast=fail_fast, secrets=False) == asked


FIRST: Final = frozenset(
    (
        *("name", "type", "run", "source", "target", "needs", "when"),
        *("timeout_seconds", "retry", "result_scope", "priority", "resources"),
    )
)
"""The fields of a task that clusters of every version know."""
LATER: Final[dict[str, Any]] = {
    "runs": "always",
    "continue_on_failure": True,
    "when_skipped": "skip",
    "outputs": {"type": "object"},
    "for_each": [1],
    "semaphore": "db",
    "secrets": ("db",),
}
GOES_WITH: Final = {"max_parallel": "for_each"}
"""The later fields that are accepted only with another one."""


@pytest.mark.parametrize("field", sorted(set(TaskSpec.__struct_fields__) - FIRST - GOES_WITH.keys()))
def test_a_later_field_of_a_task_asks_for_a_feature(field: str) -> None:
    """A cluster that does not know a field refuses the whole batch, and so everybody's work."""
    task = TaskSpec(name="a", type="delay", run={}, **{field: LATER[field]})
    assert features_asked((task,), fail_fast=True, secrets=False)
