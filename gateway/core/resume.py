"""Selects the stored task results that a shard's new attempt starts from, so as not to rerun those tasks."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from clusters.protocol import TaskResult
from clusters.protocol_bounds import TRIES_CARRIED
from gateway.core.run import TaskRow
from waypost.workflow.graph import topological_order
from waypost.workflow.instances import instance_name, instance_of
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


class Resumption(Struct, frozen=True, kw_only=True):
    """The finished tasks' results and counts of failed tries that a shard's new attempt continues from."""

    results: tuple[TaskResult, ...]
    """The results of finished tasks, which the attempt does not run again."""
    tries: dict[str, int]
    """The number of failed tries of each unfinished task, without tries that ended with their attempt."""
    remade: tuple[str, ...]
    """The finished tasks that run again, since their results are held by another region's journal."""


def resume(
    tasks: Sequence[TaskSpec], rows: Iterable[TaskRow], *, incarnation: str, carries_failures: bool
) -> Resumption:
    """Selects the stored task results that a shard's new attempt continues from, and the tasks to rerun.

    `incarnation` is the id of the journal (a cluster's store) that the attempt will run on. A result of scope
    `global` always counts. One of scope `region` counts in the journal that made it; elsewhere its task runs
    again, but only if a task that still has to run needs the result. `carries_failures`: whether the cluster
    knows failed results (`AFTER_FAILURE`); one that does not tries a failed task once more.
    """
    known = {row.task: row for row in rows}
    if not known:
        # Nothing has been started yet, as for most shards: ordering ten thousand tasks takes 30 ms.
        return Resumption(results=(), tries={}, remade=())
    finished = {name: row for name, row in known.items() if row.finished or (carries_failures and row.failed)}
    again = _to_run(tasks, finished, incarnation)
    carried = [finished[task.name] for task in tasks if task.name in finished and task.name not in again]
    carried += _instances(tasks, finished, {row.task: row for row in carried}, incarnation)
    # The first failure is the reason for which the shard fails.
    carried.sort(key=lambda row: (row.failed, row.epoch, row.ended_at or 0.0) if row.failed else (False,))
    return Resumption(
        results=tuple(map(_result, carried)),
        # A row may hold what no cluster takes, as reported by one that lied. More would change nothing: no
        # retry limit is near the bound.
        tries={
            name: min(row.last_failure.tries, TRIES_CARRIED)
            for name, row in known.items()
            if name not in finished and row.last_failure is not None
        },
        remade=tuple(task.name for task in tasks if task.name in finished and task.name in again),
    )


def _result(row: TaskRow) -> TaskResult:
    return TaskResult(
        task=row.task,
        skipped=row.phase is TaskPhase.SKIPPED,
        failure=row.phase if row.failed else None,
        output=row.output,
        reason=row.reason if row.failed else "",
        instances=row.instances if row.finished else None,
    )


def _instances(
    tasks: Sequence[TaskSpec],
    finished: Mapping[str, TaskRow],
    carried: Mapping[str, TaskRow],
    incarnation: str,
) -> list[TaskRow]:
    """Returns the results of instances of tasks (`forEach`) that an attempt does not run again.

    `finished` are the stored results, `carried` those of tasks that the attempt starts from.
    """
    rows: dict[str, list[TaskRow]] = {}
    for name, row in finished.items():
        if (instance := instance_of(name)) is not None:
            rows.setdefault(instance[0], []).append(row)
    found: list[TaskRow] = []
    for task in tasks if rows else ():
        of_task = carried.get(task.name)
        if of_task is not None:
            names = (instance_name(task.name, index) for index in range(of_task.instances or 0))
            found += (finished[name] for name in names if name in finished)
        # The items may come from what it needs: those of another result are others.
        elif task.name in rows and all(need in carried for need in task.needs):
            since = max((carried[need].epoch for need in task.needs), default=0)
            is_here = task.result_scope == "global"
            found += (
                row
                for row in rows[task.name]
                if row.epoch >= since and (is_here or row.failed or row.incarnation == incarnation)
            )
    return found


def _to_run(tasks: Sequence[TaskSpec], finished: Mapping[str, TaskRow], incarnation: str) -> set[str]:
    """Returns the names of the tasks that an attempt must run, or run again for want of their results.

    `incarnation` is the id of the journal that the attempt runs on.
    """
    # Backwards through the order, since a finished task is needed again only by one that runs.
    by_name = {task.name: task for task in tasks}
    to_run: set[str] = set()
    wanted: set[str] = set()
    for name in reversed(topological_order(tasks)):
        row, task = finished.get(name), by_name[name]
        # A failure is none that a region's disks hold.
        held_elsewhere = (
            row is not None
            and row.finished
            and task.result_scope == "region"
            and row.incarnation != incarnation
        )
        if row is None or (held_elsewhere and name in wanted):
            to_run.add(name)
            wanted.update(task.needs)
    return to_run
