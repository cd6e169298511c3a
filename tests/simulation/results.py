"""Checks that results of tasks form one lineage, and that what has ended never runs again, failed or not."""

from collections.abc import Iterable

from clusters.features import goes_on_after_failure
from clusters.protocol import AttemptId
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase, Shard, key_of
from tests.simulation.journal import Start
from tests.simulation.stages import StageInvariants
from waypost.workflow.instances import instance_name, instance_of, task_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import FINAL, TaskPhase

BAD = (TaskPhase.FAILED, TaskPhase.OMITTED, TaskPhase.STOPPED)


def unrun_phase(
    task: TaskSpec, needed: dict[str, TaskPhase], tolerated: Iterable[str], *, stops: bool
) -> TaskPhase | None:
    """Says, in the words of the documentation, how a task ends that never runs; None: it runs."""
    bad = {name for name, phase in needed.items() if phase in BAD}
    counted = {name for name in bad if needed[name] is not TaskPhase.FAILED or name not in tolerated}
    match task.runs:
        case None | "onSuccess" if counted:
            return TaskPhase.OMITTED
        case "onFailure" if not bad:
            return TaskPhase.SKIPPED
    if task.when_skipped == "skip" and TaskPhase.SKIPPED in needed.values():
        return TaskPhase.SKIPPED
    return TaskPhase.STOPPED if stops and task.runs in (None, "onSuccess") else None


class ResultInvariants(StageInvariants):
    """Checks the results of tasks against its own record of what was committed."""

    superseded: set[tuple[str, int, str, int]]
    ends: dict[tuple[str, int, str], TaskPhase]
    """How each task has ended, by the newest report of it that was committed."""
    ended_in: dict[tuple[str, int, str], int]
    """The attempt of that report."""
    carried: dict[AttemptId, frozenset[str]]
    """The tasks and instances with whose results an attempt began."""

    def goes_on(self, run: str, index: int) -> bool:
        """Returns whether the tasks of a shard may go on after a failure."""
        tasks = self.own_tasks(run, index).values()
        return goes_on_after_failure(tasks, fail_fast=self.runs[run].spec.fail_fast)

    def check_not_failed(self, start: Start, key: tuple[str, int]) -> None:
        """Asserts that no task runs again whose failure is committed, until a retry of its run (I7)."""
        epoch = self.ended_in.get((*key, start.task), 0)
        if (
            self.ends.get((*key, start.task)) is TaskPhase.FAILED
            and self.goes_on(*key)
            and not self.lists_again(start, epoch)
        ):
            shard = self.shards[key]
            current = shard.region == start.region and shard.attempt == start.attempt
            assert not current, f"I7: {start} again, after it has failed"

    def lists_again(self, start: Start, epoch: int) -> bool:
        """Returns whether an instance starts (`forEach`) whose list may be another than in attempt `epoch`.

        It is if a task that its own needs has ended in a later attempt, or runs again in this one.
        """
        key = key_of(start.attempt)
        if instance_of(start.task) is None:
            return False
        carried = self.carried[start.attempt]
        return any(
            need not in carried or self.ended_in[(*key, need)] > epoch
            for need in self.own_needs(*key, task_of(start.task))
        )

    def record_row(self, row: TaskRow) -> None:
        """Asserts that a result is recorded once, after those that it follows from."""
        key = (row.run, row.shard, row.task)
        if row.phase is TaskPhase.SUCCEEDED:
            assert self.results.get(key, (0, ""))[0] < row.epoch, f"{row} is recorded a second time"
            self.results[key] = (row.epoch, row.incarnation)
        elif row.phase is TaskPhase.RUNNING:
            # It runs again: the result that an older journal holds does not count any more.
            self.superseded.add((*key, row.epoch))
        if row.phase in FINAL:
            self._check_end(row)
            self.ends[key] = row.phase
            self.ended_in[key] = row.epoch

    def _check_end(self, row: TaskRow) -> None:
        tasks = self.own_tasks(row.run, row.shard)
        name = task_of(row.task)
        needed = {
            need: self.ends[row.run, row.shard, need] for need in self.own_needs(row.run, row.shard, name)
        }
        tolerated = {name for name, task in tasks.items() if task.continue_on_failure}
        if row.phase is TaskPhase.STOPPED:
            assert self.runs[row.run].spec.fail_fast, f"{row} without failFast"
            return
        phase = unrun_phase(tasks[name], needed, tolerated, stops=False)
        assert row.phase is phase or (phase is None and row.phase is not TaskPhase.OMITTED), (
            f"I8: {row} after {needed}"
        )
        if row.phase is TaskPhase.SUCCEEDED:
            self._check_made_here(row, needed)
        if name == row.task and tasks[name].for_each is not None:
            self._check_instances(row)

    def _check_instances(self, row: TaskRow) -> None:
        """Asserts that a task with `forEach` succeeds with the last of its instances."""
        names = [instance_name(row.task, index) for index in range(row.instances or 0)]
        ends = [self.ends.get((row.run, row.shard, name)) for name in names]
        if row.phase is not TaskPhase.SUCCEEDED:
            return
        assert row.instances is not None, row
        assert set(ends) <= {TaskPhase.SUCCEEDED}, f"{row} after {ends}"
        needs = self.own_needs(row.run, row.shard, row.task)
        listed = max((self.ended_in[row.run, row.shard, need] for need in needs), default=0)
        made = [self.ended_in[row.run, row.shard, name] for name in names]
        assert min(made, default=listed) >= listed, f"{row} with instances of an earlier list: {made}"

    def _check_made_here(self, row: TaskRow, needed: dict[str, TaskPhase]) -> None:
        """Asserts that tasks run only where the region-scoped results that they need are (I8)."""
        tasks = self.own_tasks(row.run, row.shard)
        for need in needed:
            _, incarnation = self.results.get((row.run, row.shard, need), (0, ""))
            here = tasks[need].result_scope == "global" or incarnation == row.incarnation
            assert here or needed[need] is not TaskPhase.SUCCEEDED, f"I8: {row} without {need} of its region"

    def check_lineage(self, shard: Shard) -> None:
        tasks = self.own_tasks(*shard.key)
        for name, task in tasks.items():
            if (*shard.key, name) in self.ends:
                needs = self.own_needs(*shard.key, name)
                assert all((*shard.key, need) in self.ends for need in needs), "I8"
            if shard.phase is Phase.SUCCEEDED:
                end = self.ends.get((*shard.key, name))
                well = end in (TaskPhase.SUCCEEDED, TaskPhase.SKIPPED)
                tolerated = end is TaskPhase.FAILED and task.continue_on_failure
                assert well or tolerated, f"T8: {shard.key} has no result of {name}"
