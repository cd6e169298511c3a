"""Conformance tests of which results of tasks a retry keeps, which every store must pass."""

import msgspec
from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase
from gateway.store.interface import Store
from tests.conformance.store_values import NOW, admission, decision, known, move, task
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase

GRAPH = {"a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("a",)}
"""The tasks of a run, each with those that it needs."""
WORKFLOW = msgspec.json.encode(
    {"spec": {"tasks": [{"name": name, "needs": needs} for name, needs in GRAPH.items()]}}
)


class RetriesConformance:
    """The conformance tests about the results that a retry keeps."""

    async def test_a_retry_drops_what_needs_a_failed_task(self, store: Store) -> None:
        """What has run after a failure has run for it: it runs again, once the failed task has ended."""
        await store.admit(admission("run-1", workflow=WORKFLOW))
        ended = (
            task("run-1", "a"),
            task("run-1", "b", TaskPhase.FAILED),
            task("run-1", "c"),  # runs: always
            task("run-1", "d", TaskPhase.SKIPPED),  # runs: onFailure, of c
            task("run-1", "e"),
        )
        await move(store, "run-1", Phase.FAILED, epoch=3, tasks=ended)
        note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 9)

        run = await known(store, "run-1")
        assert await store.retry("run-1", run=run, decision=decision("d2"), entry=note) is True

        assert [row.task for row in await store.tasks("run-1")] == ["a", "e"]

    async def test_a_retry_of_a_document_that_cannot_be_read_keeps_successes(self, store: Store) -> None:
        """It is quarantined again; nothing of it is lost meanwhile."""
        await store.admit(admission("run-1", workflow=b"{}"))
        ended = (task("run-1", "a"), task("run-1", "b", TaskPhase.OMITTED))
        await move(store, "run-1", Phase.FAILED, epoch=3, tasks=ended)
        note = history_entry(HistoryKind.REOPENED, run="run-1", at=NOW + 9)
        run = structs.replace(await known(store, "run-1"))

        assert await store.retry("run-1", run=run, decision=decision("d2"), entry=note) is True

        assert [row.task for row in await store.tasks("run-1")] == ["a"]
