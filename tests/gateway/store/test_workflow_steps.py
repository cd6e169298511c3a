"""Tests a release change that is stored: from the state that was read alone, with its act in the audit."""

from pathlib import Path
from typing import Any

from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, after_apply, label_of
from gateway.store.acts import ActQuery
from gateway.store.workflow_steps import take_step, workflow_entry
from tests.gateway.store.sqlite.new_store import store_at

ACT: dict[str, Any] = {"by": "ada", "at": 1.8e9, "decision_id": "d1"}


async def test_a_step_is_taken_from_the_state_that_was_read_alone(tmp_path: Path) -> None:
    """Who was slower changes nothing, and leaves no act."""
    async with store_at(tmp_path / "gateway.db") as store:
        workflow = ReleasedWorkflow(tenant="demo", name="nightly")
        for digest in "ab":
            workflow = after_apply(workflow, digest=digest, source="", by="ada", at=1.0)
            entry = workflow_entry(workflow, workflow.versions[-1], HistoryKind.WORKFLOW_APPLIED, **ACT)
            await store.write_workflow(workflow, entry=entry, document=b"{}")
        taken = await take_step(store, workflow, ReleaseStep.CANARY, 2, percent=5.0, reason="why", **ACT)
        assert await take_step(store, workflow, ReleaseStep.PROMOTE, 2, **ACT) is None
        assert taken is not None
        assert taken == await store.released_workflow("demo", "nightly")
        (act, *others) = (await store.acts(ActQuery(tenants=None))).entries
        assert [act.kind, *(one.kind for one in others)] == [
            "WorkflowCanaried",
            "WorkflowApplied",
            "WorkflowApplied",
        ]
        expected = workflow_entry(taken, taken.versions[1], HistoryKind.WORKFLOW_CANARIED, **ACT)
        assert structs.replace(act, seq=0) == expected
        assert (taken.versions[1].reason, label_of(taken, taken.versions[1])) == ("why", "nightly@2")
