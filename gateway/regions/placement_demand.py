"""What one attempt asks of a region."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.documents.workflow import Workflow


class Demand(Struct, frozen=True, kw_only=True):
    """What a region must have, and what is preferred, to take one attempt of a workflow."""

    permitted: frozenset[str]
    """Regions that policy permits."""
    requested: frozenset[str] = frozenset()
    """Regions that the workflow names; empty if it takes any."""
    avoid: frozenset[str] = frozenset()
    """Regions that the workflow takes only if no other fits."""
    executors: frozenset[str] = frozenset()
    """The types of its tasks."""
    cpu: float = 0.0
    """Processors that its largest task takes."""
    spread: Mapping[str, int] | None = None
    """The run's shards by region, where it wants them spread; None where it does not."""


def demand_of(
    workflow: Workflow, permitted: Sequence[str], *, spread: Mapping[str, int] | None = None
) -> Demand:
    """What one shard of `workflow` asks of a region. `spread` is for workflows with `placement.spread`."""
    asked = workflow.spec.placement
    return Demand(
        permitted=frozenset(permitted),
        requested=frozenset(asked.regions),
        avoid=frozenset(asked.avoid),
        executors=frozenset(task.type for task in workflow.spec.tasks),
        cpu=max((task.resources.cpu for task in workflow.spec.tasks), default=0.0),
        spread=spread,
    )
