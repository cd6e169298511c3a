"""Applies the obligations of a policy decision (changes and limits) to a workflow.

Performs no I/O.
"""

from msgspec import structs

from gateway.core.decision import Decision, Obligations, Reason
from gateway.core.errors import Denied
from gateway.documents.workflow import Workflow
from waypost.workflow.task import SideEffects


def apply_obligations(workflow: Workflow, decision: Decision, *, exclusive: frozenset[str]) -> Workflow:
    """Returns the workflow as a policy decision's obligations change it.

    Raises `Denied` if they cannot be met.

    Policy may cap priorities and the places of semaphores, add or replace labels, and demand the side effects
    `exclusive`. `exclusive` names the executors that can keep a task from running twice. Returns the same
    object if nothing changes.
    """
    obliged = obliged_workflow(workflow, decision.obligations)
    if (reason := _unmet(workflow, obliged, decision.obligations, exclusive)) is not None:
        raise Denied(reason.message, reasons=(reason,), decision=decision)
    return obliged


def obliged_workflow(workflow: Workflow, obligations: Obligations) -> Workflow:
    """Returns the workflow as policy's obligations change it, without checking whether they can be met."""
    metadata, spec = workflow.metadata, workflow.spec
    if obligations.labels and not obligations.labels.items() <= metadata.labels.items():
        metadata = structs.replace(metadata, labels=metadata.labels | obligations.labels)
    if (cap := obligations.max_priority) is not None:
        if spec.priority > cap:
            spec = structs.replace(spec, priority=cap)
        # A task's priority orders it among the tasks of other runs too.
        if any(task.priority > cap for task in spec.all_tasks):
            spec = spec.with_tasks(lambda task: structs.replace(task, priority=min(task.priority, cap)))
    caps = obligations.semaphores
    if any(places > caps.get(name, places) for name, places in spec.semaphores.items()):
        capped = {name: min(places, caps.get(name, places)) for name, places in spec.semaphores.items()}
        spec = structs.replace(spec, semaphores=capped)
    # Only made stricter: a document that asks for exclusive keeps it, whatever policy says.
    if obligations.side_effects == SideEffects.EXCLUSIVE and spec.side_effects is not SideEffects.EXCLUSIVE:
        spec = structs.replace(spec, side_effects=SideEffects.EXCLUSIVE)
    if metadata is workflow.metadata and spec is workflow.spec:
        return workflow
    return structs.replace(workflow, metadata=metadata, spec=spec)


def _unmet(
    workflow: Workflow, obliged: Workflow, obligations: Obligations, exclusive: frozenset[str]
) -> Reason | None:
    """Returns the first of policy's obligations that the workflow cannot meet, as a reason; else None."""
    spec = obliged.spec
    requested = spec.placement.regions
    if not obligations.regions:
        return Reason(rule="placement.nowhere", message="policy permits no region for it")
    if requested and not set(requested) & set(obligations.regions):
        permitted = ", ".join(obligations.regions)
        return Reason(
            rule="placement.wishes",
            message=f"none of the wished regions is permitted; policy permits {permitted}",
        )
    if obligations.max_shards is not None and workflow.shard_count > obligations.max_shards:
        return Reason(
            rule="shards.maximum",
            message=f"{workflow.shard_count} shards; policy permits {obligations.max_shards}",
        )
    # A document that asked for exclusive itself was checked for this when it was read.
    if spec is not workflow.spec and spec.side_effects is SideEffects.EXCLUSIVE:
        unfit = sorted({task.type for task in spec.all_tasks} - exclusive)
        if unfit:
            return Reason(
                rule="sideEffects.exclusive",
                message=f"policy wants exclusive side effects, which {', '.join(unfit)} cannot promise",
            )
    return None
