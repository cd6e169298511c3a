"""`Demand`: what one attempt requires of a region, and which regions it prefers."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from clusters.features import features_asked
from gateway.documents.run_spec import tasks_in_cluster
from gateway.documents.workflow import ANY_ENGINE, Workflow
from waypost.workflow.stages import Stage
from waypost.workflow.task import SideEffects


class Demand(Struct, frozen=True, kw_only=True):
    """What one attempt requires of a region (executors, size, permission), and its preferences."""

    permitted: frozenset[str]
    """The names of the regions that policy permits."""
    requested: frozenset[str] = frozenset()
    """The names of the regions that the workflow asks for; empty if it accepts any."""
    avoid: frozenset[str] = frozenset()
    """The names of regions that the workflow accepts only if no other fits."""
    engine: str = ANY_ENGINE
    """The engine that the region's cluster must have."""
    executors: frozenset[str] = frozenset()
    """The types of the workflow's tasks, for each of which the region must have an executor."""
    exclusive: bool = False
    """Whether the tasks are exclusive, so that the region's executors must hold to run-leases."""
    features: frozenset[str] = frozenset()
    """What the region's cluster must know of the protocol to run the tasks as the document says."""
    cpu: float = 0.0
    """The number of processors that the workflow's largest task needs."""
    memory_mib: int = 0
    """The MiB of memory that the task asks for which asks for most; 0 if none asks."""
    tenant: str = ""
    """The tenant of the run: some regions take the work of one tenant alone. Empty: it does not matter."""
    used_up: frozenset[str] = frozenset()
    """The names of regions in which the tenant holds all the slots that it may hold."""
    apart_from: frozenset[str] = frozenset()
    """The names of regions in which another possibly poisonous shard is on trial: no place for this one.

    Empty if this shard is not suspected.
    """
    spread: Mapping[str, int] | None = None
    """The number of the run's shards by region, if it wants them spread; None if it does not."""


def features_of(workflow: Workflow, stage: Stage) -> frozenset[str]:
    """Returns the features that a cluster must have to run the tasks of the `stage`.

    It looks at every task: some tens of milliseconds for ten thousand.
    """
    return features_asked(
        tasks_in_cluster(workflow, stage),
        fail_fast=workflow.spec.fail_fast,
        secrets=bool(workflow.spec.secrets),
        of_finally=stage is Stage.FINALLY,
    )


def demand_of(
    workflow: Workflow,
    permitted: Sequence[str],
    stage: Stage = Stage.MAIN,
    tenant: str = "",
    *,
    features: frozenset[str] | None = None,
    spread: Mapping[str, int] | None = None,
    used_up: frozenset[str] = frozenset(),
    apart_from: Iterable[str] = (),
) -> Demand:
    """Returns what placement must know of a shard of the `stage`: permitted regions, executors, processors.

    Policy permits the shard in the regions `permitted`. `spread` has the number of the run's shards by
    region, for workflows with `placement.spread`; `tenant` is the run's. `used_up` are the regions where the
    tenant may not have more work, `apart_from` those that already run a shard which is suspected of ending
    clusters. `features` are those of `features_of`, where they are known already.
    """
    asked, tasks = workflow.spec.placement, workflow.spec.tasks_of(stage)
    return Demand(
        permitted=frozenset(permitted),
        requested=frozenset(asked.regions),
        avoid=frozenset(asked.avoid),
        engine=workflow.spec.engine,
        executors=frozenset(task.type for task in tasks),
        exclusive=workflow.spec.side_effects is SideEffects.EXCLUSIVE,
        features=features_of(workflow, stage) if features is None else features,
        cpu=max((task.resources.cpu for task in tasks), default=0.0),
        memory_mib=max((task.resources.memory_mib or 0 for task in tasks), default=0),
        tenant=tenant,
        spread=spread,
        used_up=used_up,
        apart_from=frozenset(apart_from),
    )
