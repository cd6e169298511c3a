"""Makes ready tasks for tests of the queue."""

from typing import Any

from clusters.embedded.queueing.ready_task import NEVER_ENDS, ReadyTask
from clusters.protocol import AttemptId, RunSpec
from waypost.workflow.task import Resources, TaskSpec


def ready_task(name: str, *, run: str = "run", since: float = 0.0, **more: Any) -> ReadyTask:
    """Returns a ready task; further arguments are fields of its run, its document's task, or itself."""
    spec = TaskSpec(
        name=name,
        type=more.get("type", "process"),
        run={},
        priority=more.get("task_priority", 5),
        resources=Resources(cpu=more.get("cpu", 1.0), memory_mib=more.get("memory_mib")),
        semaphore=more.get("semaphore"),
    )
    whole = RunSpec(
        run=run,
        tasks=(spec,),
        priority=more.get("priority", 5),
        fairness_key=more.get("key", "tenant"),
        fairness_weight=more.get("weight", 1.0),
        semaphores=more.get("semaphores", {}),
        period_seconds=more.get("period"),
    )
    return ReadyTask(
        attempt=AttemptId(run=run, shard=0, epoch=1),
        task=name,
        run=whole,
        spec=spec,
        path=more.get("path", 1),
        deadline=more.get("deadline", NEVER_ENDS),
        since=since,
    )
