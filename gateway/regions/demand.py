"""Choose a region for each shard that waits. Pure: what it needs to know comes in."""

from collections.abc import Callable, Sequence

from gateway.documents.workflow import Workflow
from gateway.regions.placement import Placement, Unplaceable, place
from gateway.regions.region_view import Demand, RegionView
from gateway.settings import Placing


def demand(workflow: Workflow, permitted: Sequence[str], *, spread: dict[str, int] | None = None) -> Demand:
    """What one shard of `workflow` asks of a region."""
    wishes = workflow.spec.placement
    return Demand(
        permitted=frozenset(permitted),
        wished=frozenset(wishes.regions),
        avoid=frozenset(wishes.avoid),
        executors=frozenset(task.type for task in workflow.spec.tasks),
        cpu=max((task.resources.cpu for task in workflow.spec.tasks), default=0.0),
        spread=spread if wishes.spread else None,
    )


def plan(
    workflow: Workflow,
    permitted: Sequence[str],
    views: Sequence[RegionView],
    *,
    choose: Callable[[Sequence[str]], str],
    settings: Placing,
    spread: dict[str, int] | None = None,
) -> Placement | Unplaceable:
    """The region for the next shard of `workflow`, with every score, or why there is none."""
    return place(demand(workflow, permitted, spread=spread), views, choose=choose, settings=settings)
