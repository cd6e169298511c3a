"""Tests how policy's obligations change a workflow, and when a workflow cannot meet them."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import Denied
from gateway.submission.obligations import apply_obligations
from tests.gateway.submission.submissions import WORKFLOW, decision
from waypost.workflow.task import SideEffects

EXCLUSIVE = frozenset({"process"})


def test_a_document_that_needs_no_change_is_stored_as_it_came() -> None:
    """The bytes that policy saw are then the bytes that are kept."""
    obliged = apply_obligations(
        WORKFLOW, decision(max_priority=9, labels={"team": "data"}), exclusive=EXCLUSIVE
    )

    assert obliged is WORKFLOW


def test_a_forced_label_outranks_the_documents_own() -> None:
    """Who pays is not for the sender to say."""
    workflow = apply_obligations(WORKFLOW, decision(labels={"team": "platform"}), exclusive=EXCLUSIVE)

    assert workflow.metadata.labels == {"team": "platform"}


def test_the_cap_of_priority_holds_for_tasks_too() -> None:
    """A task of priority 9 in a run that is capped at 3 would pass the tasks of others."""
    urgent = structs.replace(
        WORKFLOW,
        spec=structs.replace(
            WORKFLOW.spec,
            priority=9,
            tasks=tuple(structs.replace(task, priority=9) for task in WORKFLOW.spec.tasks),
        ),
    )

    workflow = apply_obligations(urgent, decision(max_priority=3), exclusive=EXCLUSIVE)

    assert workflow.spec.priority == 3
    assert {task.priority for task in workflow.spec.tasks} == {3}


def test_policy_caps_the_places_of_a_semaphore_by_its_name() -> None:
    """What stands behind it is the platform's, and bears only so much."""
    wide = structs.replace(WORKFLOW, spec=structs.replace(WORKFLOW.spec, semaphores={"db": 8, "api": 8}))

    assert apply_obligations(wide, decision(semaphores={"db": 9}), exclusive=EXCLUSIVE) is wide
    capped = apply_obligations(wide, decision(semaphores={"db": 2, "other": 1}), exclusive=EXCLUSIVE)
    assert capped.spec.semaphores == {"db": 2, "api": 8}


def test_exclusive_is_not_forced_on_what_cannot_promise_it() -> None:
    """An executor without a guard could run twice all the same: better refused than promised."""
    with pytest.raises(Denied) as refused:
        apply_obligations(WORKFLOW, decision(side_effects="exclusive"), exclusive=EXCLUSIVE)
    workflow = apply_obligations(
        WORKFLOW, decision(side_effects="exclusive"), exclusive=frozenset({"docker"})
    )

    assert [reason.rule for reason in refused.value.reasons] == ["sideEffects.exclusive"]
    assert workflow.spec.side_effects is SideEffects.EXCLUSIVE


def test_policy_cannot_loosen_what_the_document_asks_for() -> None:
    """A document that wants to run once at a time means it."""
    strict = structs.replace(
        WORKFLOW, spec=structs.replace(WORKFLOW.spec, side_effects=SideEffects.EXCLUSIVE)
    )

    workflow = apply_obligations(strict, decision(side_effects="idempotent"), exclusive=frozenset({"docker"}))
    assert workflow.spec.side_effects is SideEffects.EXCLUSIVE


@pytest.mark.parametrize(
    ("obligations", "rule"),
    [
        ({"regions": ()}, "placement.nowhere"),
        ({"regions": ("shenzhen",)}, "placement.wishes"),
        ({"max_shards": 1}, "shards.maximum"),
    ],
)
def test_a_workflow_that_cannot_meet_an_obligation_is_denied(obligations: dict[str, Any], rule: str) -> None:
    """Accepted, it would wait for ever."""
    placement = structs.replace(WORKFLOW.spec.placement, regions=("beijing",))
    workflow = structs.replace(WORKFLOW, spec=structs.replace(WORKFLOW.spec, placement=placement))
    with pytest.raises(Denied) as refused:
        apply_obligations(workflow, decision(**obligations), exclusive=EXCLUSIVE)

    assert [reason.rule for reason in refused.value.reasons] == [rule]
    assert refused.value.decision_id == "d1"
