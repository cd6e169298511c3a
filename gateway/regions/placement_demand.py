"""The demand of one attempt: its requirements on a region, and the regions that it prefers."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gateway.documents.workflow import Workflow


class Demand(Struct, frozen=True, kw_only=True):
    """What one attempt needs of a region: executors, processors, permission; and which regions it prefers."""

    permitted: frozenset[str]
    """Regions that policy permits."""
    requested: frozenset[str] = frozenset()
    """Regions that the workflow names; empty if it takes any."""
    avoid: frozenset[str] = frozenset()
    """Regions that the workflow takes only if no other fits."""
    executors: frozenset[str] = frozenset()
    """The types of the workflow's tasks."""
    cpu: float = 0.0
    """The number of processors that the workflow's largest task takes."""
    used_up: frozenset[str] = frozenset()
    """Regions in which the tenant holds all that it may hold."""
    apart_from: frozenset[str] = frozenset()
    """Regions where a shard is on trial that may be poison: this one may be too, and must not
    go there. Empty if it is not.
    """
    spread: Mapping[str, int] | None = None
    """The run's shards by region, where it wants them spread; None where it does not."""


def demand_of(
    workflow: Workflow,
    permitted: Sequence[str],
    *,
    spread: Mapping[str, int] | None = None,
    used_up: frozenset[str] = frozenset(),
    apart_from: Iterable[str] = (),
) -> Demand:
    """The demand of one shard of `workflow`, which policy permits in the regions `permitted`.

    `spread` is for workflows with `placement.spread`; `used_up` are regions without room for its tenant;
    `apart_from` are regions that a shard which may be poison must not share.
    """
    asked = workflow.spec.placement
    return Demand(
        permitted=frozenset(permitted),
        requested=frozenset(asked.regions),
        avoid=frozenset(asked.avoid),
        executors=frozenset(task.type for task in workflow.spec.tasks),
        cpu=max((task.resources.cpu for task in workflow.spec.tasks), default=0.0),
        spread=spread,
        used_up=used_up,
        apart_from=frozenset(apart_from),
    )
