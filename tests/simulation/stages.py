"""Checks that the stages of a run begin when they may, once, and end: beside the invariants of all shards."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from gateway.core.history import HistoryKind
from gateway.core.instant import Instant
from gateway.core.run import Run
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Workflow
from gateway.store.interface import Store
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD, STAGE_SHARDS, stage_of
from waypost.workflow.task import TaskSpec


class StageInvariants:
    """Checks the stages of all runs against its own record of what was committed."""

    runs: dict[str, Workflow]
    shards: dict[tuple[str, int], Shard]
    results: dict[tuple[str, int, str], tuple[int, str]]
    ends: dict[tuple[str, int, str], Any]
    finally_deadlines: dict[str, float]
    silent_at: dict[tuple[str, int], float]

    @property
    def now(self) -> Instant:
        raise NotImplementedError

    def own_tasks(self, run: str, index: int) -> dict[str, TaskSpec]:
        """Returns the tasks that run in a shard, by name."""
        return {task.name: task for task in self.runs[run].spec.tasks_of(stage_of(index))}

    def own_needs(self, run: str, index: int, task: str) -> list[str]:
        """Returns the tasks of its own shard that a task needs."""
        tasks = self.own_tasks(run, index)
        return [need for need in tasks[task].needs if need in tasks]

    def check_stages(self, run: str, stored: Iterable[Shard]) -> None:
        """Asserts that stages which have begun with a commit were to begin; `stored`: the run's shards."""
        stages = {shard.index: shard for shard in stored if shard.index in STAGE_SHARDS}
        main = {self.shards[run, index].phase for index in range(self.runs[run].shard_count)}
        for index, after in sorted(stages.items()):
            before = self.shards[run, index]
            if before.phase is Phase.WAITING and after.phase is not Phase.WAITING:
                # What ended in time may be reported late: a stage that begins after the deadline soon ends.
                self.silent_at[run, index] = self.now.monotonic
                ended = {phase for phase in main if phase.terminal}
                assert ended == main, f"{after} has begun while main shards are {main}"
                if index == COLLECT_SHARD:
                    begins = after.phase is not Phase.CANCELLED
                    assert main == {Phase.SUCCEEDED} or not begins, f"{after} after {main}"
                if index == FINALLY_SHARD:
                    collect = self.shards.get((run, COLLECT_SHARD))
                    assert collect is None or collect.phase.terminal, f"{after} beside {collect}"
                    seconds = self.runs[run].spec.finally_seconds
                    self.finally_deadlines[run] = self.now.wall + (600.0 if seconds is UNSET else seconds)
            assert after.epoch >= before.epoch, "I5"
            self.shards[run, index] = after

    async def note_retry(self, store: Store, run: str) -> None:
        """Records what a retry has opened again, and which results it has dropped."""
        for shard in await store.shards(run):
            self.shards[shard.key] = shard
            kept = {row.task for row in await store.tasks(run, shard.index)}
            for found in (self.results, self.ends):
                for key in [key for key in found if key[:2] == shard.key and key[2] not in kept]:
                    del found[key]
        self.finally_deadlines.pop(run, None)
        self.check_stages(run, await store.shards(run))


def with_stages(run: Run, workflow: Workflow) -> dict[str, Any]:
    """Returns the fields of a stored run that say what stages its workflow has."""
    seconds = workflow.spec.finally_seconds
    return {
        "stage_tasks": workflow.stage_tasks,
        "finally_seconds": run.finally_seconds if seconds is UNSET else seconds,
    }


def shards_of(run: str, workflow: Workflow) -> tuple[Shard, ...]:
    """Returns the shards of an accepted run: those of its items, and one for each other stage."""
    waiting = [index for index, tasks in zip(STAGE_SHARDS, workflow.stage_tasks, strict=True) if tasks]
    return (
        *(Shard(run=run, index=index) for index in range(workflow.shard_count)),
        *(Shard(run=run, index=index, phase=Phase.WAITING) for index in waiting),
    )


async def begun_too_often(store: Store, runs: Sequence[str]) -> list[str]:
    """Returns the ended runs whose stage `finally` has not begun once for each time that they ended."""
    wrong = []
    for run in runs:
        kinds = [(entry.kind, entry.shard) for entry in await store.history(run, limit=1_000_000)]
        ends = 1 + sum(kind is HistoryKind.REOPENED for kind, _ in kinds)
        begun = kinds.count((HistoryKind.BEGUN, FINALLY_SHARD))
        if begun != ends and any(shard.index == FINALLY_SHARD for shard in await store.shards(run)):
            wrong.append(run)
    return wrong
