"""Renders a stored workflow document into the `RunSpec` that clusters receive."""

from msgspec import structs

from clusters.protocol import RunSpec
from gateway.documents.workflow import Workflow
from waypost.tracing.context import TraceContext
from waypost.workflow.placeholders import render


def run_spec(
    run_id: str,
    workflow: Workflow,
    *,
    fairness_key: str = "",
    fairness_weight: float = 1.0,
    span: TraceContext | None = None,
) -> RunSpec:
    """Builds the `RunSpec` of a run: its tasks with `${params.*}` filled in, its fairness, its span.

    `${shard.*}` is left to the cluster, which fills it in for each shard.
    """
    values = {"params": workflow.spec.params}
    tasks = tuple(
        structs.replace(
            task,
            run=render(task.run, values, last=False),
            source=render(task.source, values, last=False),
            target=render(task.target, values, last=False),
        )
        for task in workflow.spec.tasks
    )
    return RunSpec(
        run=run_id,
        tasks=tasks,
        params=workflow.spec.params,
        shard_count=workflow.shard_count,
        side_effects=workflow.spec.side_effects,
        priority=workflow.spec.priority,
        fairness_key=fairness_key,
        fairness_weight=fairness_weight,
        semaphores=workflow.spec.semaphores,
        period_seconds=workflow.spec.period_seconds,
        span=span,
    )
