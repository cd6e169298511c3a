"""Renders a stored workflow document into the `RunSpec` that clusters receive, one for each of its stages."""

from typing import Any, Final

import msgspec
from msgspec import structs

from clusters.protocol import RunSpec
from gateway.documents.workflow import Workflow
from waypost.tracing.context import TraceContext
from waypost.workflow.placeholders import render
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD, Ending, Stage, name_in_cluster
from waypost.workflow.task import TaskSpec

SUCCEEDED: Final = "Succeeded"
_INDICES = {Stage.MAIN: 0, Stage.COLLECT: COLLECT_SHARD, Stage.FINALLY: FINALLY_SHARD}


def run_spec(
    run_id: str,
    workflow: Workflow,
    stage: Stage = Stage.MAIN,
    *,
    ending: Ending | None = None,
    fairness_key: str = "",
    fairness_weight: float = 1.0,
    span: TraceContext | None = None,
) -> RunSpec:
    """Builds the `RunSpec` of a stage of a run: tasks with `${params.*}` filled in, its fairness, its span.

    `${shard.*}` is left to the cluster, which fills it in for each shard. `ending` is an input of the
    stage `finally`.
    """
    values: dict[str, Any] = {"params": workflow.spec.params}
    if ending is not None:
        values["status"] = ending.status
    tasks = tuple(
        structs.replace(
            task if ending is None else _at_end(task, ending),
            run=render(task.run, values, last=False),
            source=render(task.source, values, last=False),
            target=render(task.target, values, last=False),
            for_each=render(task.for_each, values, last=False),
        )
        for task in tasks_in_cluster(workflow, stage)
    )
    return RunSpec(
        run=name_in_cluster(run_id, _INDICES[stage])[0],
        tasks=tasks,
        params=workflow.spec.params,
        shard_count=workflow.shard_count,
        side_effects=workflow.spec.side_effects,
        fail_fast=workflow.spec.fail_fast,
        priority=workflow.spec.priority,
        fairness_key=fairness_key,
        fairness_weight=fairness_weight,
        semaphores=workflow.spec.semaphores,
        period_seconds=workflow.spec.period_seconds,
        span=span,
        ending=ending,
        secrets=workflow.spec.secrets,
    )


def _at_end(task: TaskSpec, ending: Ending) -> TaskSpec:
    """Returns a task of `finally` as it runs after this end: its `runs` is about the end if it needs no task.

    Then it is decided here, and to the cluster the task always runs, whatever fails beside it; or is skipped.
    """
    if task.needs:
        return task
    applies = task.runs in (None, "always", "onSuccess" if ending.status == SUCCEEDED else "onFailure")
    return structs.replace(task, runs="always", when=task.when if applies else "false")


def tasks_in_cluster(workflow: Workflow, stage: Stage) -> tuple[TaskSpec, ...]:
    """Returns the tasks of a stage that its cluster gets: for `collect` also stand-ins for main tasks."""
    tasks = workflow.spec.tasks_of(stage)
    return (*_collected(workflow, tasks), *tasks) if stage is Stage.COLLECT else tasks


def collected_tasks(workflow: Workflow) -> tuple[str, ...]:
    """Returns the names of the main tasks whose outputs the tasks of `collect` need, in order."""
    own = {task.name for task in workflow.spec.tasks_of(Stage.COLLECT)}
    needs = (need for task in workflow.spec.tasks_of(Stage.COLLECT) for need in task.needs)
    return tuple(dict.fromkeys(need for need in needs if need not in own))


def _collected(workflow: Workflow, tasks: tuple[TaskSpec, ...]) -> tuple[TaskSpec, ...]:
    """Returns stand-ins for the main tasks that `collect` needs: to its cluster they are finished tasks.

    They are tasks of `collect` under another name, so that they ask for nothing that those do not.
    """
    if not (names := collected_tasks(workflow)):
        return ()
    smallest = min(tasks, key=lambda task: len(msgspec.json.encode(task.run)))
    main = {task.name: task for task in workflow.spec.tasks_of(Stage.MAIN)}
    return tuple(
        TaskSpec(
            name=name,
            type=smallest.type,
            run=smallest.run,
            # A shard that has succeeded may have failures that it tolerates: so do those who need the task.
            continue_on_failure=main[name].continue_on_failure,
        )
        for name in names
    )
