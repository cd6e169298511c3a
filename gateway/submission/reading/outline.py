"""Reduces a parsed workflow to an outline (one task of each type), and fills in its tenant.

Performs no I/O.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET, Raw, structs

from gateway.documents.workflow import Workflow
from waypost.workflow.stages import Stage
from waypost.workflow.task import Resources, TaskSpec


def outline_of(workflow: Workflow) -> Workflow:
    """Returns the workflow reduced to one task of each type, without params and the shards' items.

    That task has the highest priority, the most processors and the most memory of those of its type in its
    stage.
    """
    shards = structs.replace(workflow.spec.shards, items=None)
    main, collect, final = (_one_of_each_type(workflow.spec.tasks_of(stage)) for stage in Stage)
    spec = structs.replace(
        workflow.spec,
        tasks=main,
        collect=collect or UNSET,
        final=final or UNSET,
        params={},
        shards=shards,
    )
    return structs.replace(workflow, spec=spec)


def _one_of_each_type(of_stage: Iterable[TaskSpec]) -> tuple[TaskSpec, ...]:
    tasks: dict[str, TaskSpec] = {}
    for task in of_stage:
        seen = tasks.get(task.type)
        if seen is None:
            tasks[task.type] = structs.replace(
                task, run={}, source=None, target=None, needs=(), when=None, outputs=None, for_each=None
            )
            continue
        cpu = max(task.resources.cpu, seen.resources.cpu)
        memory_mib = max(task.resources.memory_mib or 0, seen.resources.memory_mib or 0) or None
        largest = Resources(cpu=cpu, memory_mib=memory_mib)
        if task.priority > seen.priority or largest != seen.resources:
            priority = max(task.priority, seen.priority)
            tasks[task.type] = structs.replace(seen, priority=priority, resources=largest)
    return tuple(tasks.values())


def encoded_items(workflow: Workflow) -> list[bytes] | None:
    """Returns the items of the shards, each as JSON; None if the document lists no items."""
    items = workflow.spec.shards.items
    return None if items is None else [msgspec.json.encode(item) for item in items]


def with_items(outline: Workflow, items: Sequence[bytes] | None) -> Workflow:
    """Returns the outline of a workflow with the shards' items restored, as undecoded JSON."""
    if items is None:
        return outline
    shards = structs.replace(outline.spec.shards, items=tuple(map(Raw, items)))
    return structs.replace(outline, spec=structs.replace(outline.spec, shards=shards))


def with_tenant(workflow: Workflow, tenant: str) -> Workflow:
    """Returns the workflow with `tenant` as its tenant if it names none.

    It is filled in before policy is asked: a rule about tenants must not be evaded by naming none.
    """
    if workflow.metadata.tenant is not None:
        return workflow
    return structs.replace(workflow, metadata=structs.replace(workflow.metadata, tenant=tenant))
