"""Example values that the conformance suites of stores write and look for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from msgspec import structs

from gateway.core.decision import Action, Decision, Obligations
from gateway.core.history import HistoryKind
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.store.interface import Admission, ShardWrite, Store
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
"""The type of a function that opens the same store again, after the last one is closed."""

NOW = 1_800_000_000.0
DAY = 86_400.0


def decision(name: str = "d1", *regions: str, allow: bool = True) -> Decision:
    obligations = Obligations(regions=regions or ("beijing", "shanghai"))
    return Decision(
        id=name,
        at=NOW,
        action=Action.RUNS_SUBMIT,
        allow=allow,
        revision="r",
        engine="test",
        obligations=obligations,
    )


def admission(run_id: str, *, shards: int = 1, **changes: Any) -> Admission:
    fields: dict[str, Any] = {
        "id": run_id,
        "tenant": "payments",
        "name": "nightly",
        "subject": "ada",
        "issuer": "https://issuer.test",
        "priority": 0,
        "shard_count": shards,
        "workflow": b'{"a":1}',
        "created_at": NOW,
        "decision_id": "d1",
        "decided_at": NOW,
        "permitted": ("beijing", "shanghai"),
    }
    run = Run(**fields | changes)
    return Admission(
        run=run,
        shards=tuple(Shard(run=run_id, index=index, item={"part": index}) for index in range(shards)),
        decision=decision(),
        history=(history_entry(HistoryKind.ACCEPTED, run=run_id, at=NOW, actor="ada"),),
    )


def task(run_id: str, name: str, phase: TaskPhase = TaskPhase.SUCCEEDED, **changes: Any) -> TaskRow:
    row = TaskRow(
        run=run_id,
        shard=0,
        task=name,
        phase=phase,
        epoch=1,
        region="beijing",
        incarnation="j1",
        tries=1,
        started_at=NOW,
        ended_at=NOW + 1,
    )
    return structs.replace(row, **changes)


async def move(
    store: Store,
    run_id: str,
    phase: Phase,
    *,
    index: int = 0,
    tasks: tuple[TaskRow, ...] = (),
    **changes: Any,
) -> Shard:
    """Writes a shard with the phase `phase` to the store, asserts that the write succeeds, and returns it."""
    shard = (await store.shards(run_id))[index]
    after = structs.replace(shard, phase=phase, rev=shard.rev + 1, **changes)
    note = history_entry(HistoryKind.INTENDED, run=run_id, shard=index, at=NOW + 5)
    assert list(await store.record([ShardWrite(shard=after, tasks=tasks, history=(note,))], {})) == [True]
    return after


async def kinds(store: Store, run_id: str) -> list[str]:
    return [entry.kind for entry in await store.history(run_id)]


async def known(store: Store, run_id: str) -> Run:
    run = await store.run(run_id)
    assert run is not None
    return run


def after(shard: Shard, phase: Phase, kind: HistoryKind = HistoryKind.INTENDED) -> ShardWrite:
    moved = structs.replace(shard, phase=phase, rev=shard.rev + 1)
    return ShardWrite(
        shard=moved, history=(history_entry(kind, run=shard.run, shard=shard.index, at=NOW + 5),)
    )


def keys(shards: Sequence[Shard]) -> list[tuple[str, int]]:
    return [shard.key for shard in shards]
