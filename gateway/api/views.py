"""The response types of the API, and the functions that build them from stored values.

Names are snake_case (only the workflow document itself is camelCase), times are wall-clock seconds since
1970, durations are seconds. The docstrings are the descriptions of the schemas in `/openapi.json`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct, convert, structs

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import FailedTry, Run, RunPhase, TaskRow, with_lists_of_instances
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.regions.region_view import RegionView
from waypost.workflow.instances import instance_of
from waypost.workflow.task_phase import TaskPhase

SHOWN_TASKS: Final = 10_000
SHOWN_BYTES: Final = 20 * 1024 * 1024
"""The maximum bytes of tasks with outputs in one response.

A shard's outputs are 16 MiB at most, so that one shard is shown whole.
"""


class RunSummary(Struct, frozen=True, kw_only=True):
    """A run without its shards and tasks, as lists of runs show it."""

    id: str
    tenant: str
    name: str
    subject: str
    phase: RunPhase
    priority: int
    shard_count: int
    labels: dict[str, str]
    created_at: float
    deadline_at: float | None
    cancel_requested_at: float | None
    finished_at: float | None
    decision_id: str
    released: str = ""
    """The released version that it runs, such as `nightly@3`; empty for a document that was sent whole."""


class ShardView(Struct, frozen=True, kw_only=True):
    """A shard of a run. `orphans` are earlier, replaced attempts that may still run somewhere."""

    index: int
    item: Any
    phase: Phase
    region: str | None
    epoch: int
    reason: str
    attempts_lost: int
    failovers: int
    orphans: tuple[Orphan, ...]


class TaskView(Struct, frozen=True, kw_only=True):
    """The last reported state of a task of a shard. A task that was never started is not listed."""

    shard: int
    task: str
    phase: TaskPhase
    region: str
    epoch: int
    tries: int
    started_at: float
    ended_at: float | None
    next_try_at: float | None
    """The start time of the next try of a task that is Retrying."""
    output: Any
    """The value that the task returned, only if it was requested with `outputs=true`."""
    reason: str
    last_failure: FailedTry | None
    """The last failed try that another try followed."""
    instances: int | None
    """The number of instances (`NAME[0]` and so on) of a task with `forEach`, once it has begun."""


class RunDetail(RunSummary, frozen=True, kw_only=True):
    """A run with its document, shards and tasks.

    `tasks` are the first 10,000, or with `outputs=true` the first 20 MiB of them; `tasks_left_out` counts the
    rest: ask shard by shard. `task_phases` counts all of them.
    """

    permitted: tuple[str, ...]
    workflow: Raw
    shard_phases: dict[str, int]
    task_phases: dict[str, int]
    shards: tuple[ShardView, ...]
    tasks: tuple[TaskView, ...]
    tasks_left_out: int


class RunPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of runs, newest first. `continue` is for the next page, null on the last.

    With filters a page may have fewer runs than `limit`, or none, and still not be the last.
    """

    items: tuple[RunSummary, ...]
    next: str | None


class ActPage(Struct, frozen=True, kw_only=True, rename={"next": "continue"}):
    """A page of audit records of actions, newest first. `continue` is for the next page, null on the last.

    With filters a page may have fewer entries than `limit`, or none, and still not be the last.
    """

    items: tuple[HistoryEntry, ...]
    next: str | None


class RunStory(Struct, frozen=True, kw_only=True):
    """The explanation of a run: every policy decision behind the run, and the run's history, in order."""

    run: RunSummary
    decisions: tuple[Decision, ...]
    history: tuple[HistoryEntry, ...]
    complete: bool
    """Whether the whole history is shown; False if it is longer."""
    waiting: str | None
    """The sentences on why Pending or Suspect shards, and tasks of Running shards, wait now.

    Null if nothing waits.
    """
    waiting_tasks: str | None = None
    """The part of `waiting` about tasks, as far as the gateway knows; the call `waits` asks the regions."""


class RegionPlan(Struct, frozen=True, kw_only=True):
    """A region's score, or why it is not chosen, for the placement of a dry run's first shard.

    `score`: lower is better. `rejected`: why the region is not chosen. Both are set where another region is
    preferred to one that fits.
    """

    name: str
    score: float | None
    rejected: str | None


class DryRun(Struct, frozen=True, kw_only=True):
    """The response to a dry run: what would happen if the submission were sent without `dryRun`.

    `region` is where the first shard would be placed; `unplaceable` why it could be placed nowhere now.
    """

    decision: Decision
    workflow: Raw
    shard_count: int
    region: str | None
    unplaceable: str | None
    regions: tuple[RegionPlan, ...]


class RegionState(Struct, frozen=True, kw_only=True):
    """The present state of a region. Placement prefers the region with the lowest `score`."""

    name: str
    condition: str
    reason: str
    since: float
    score: float
    weight: float
    peak_ewma_seconds: float
    free_slots: int
    inflight: int
    cordoned: bool
    avoided: bool
    forgotten: bool
    executors: tuple[str, ...]
    isolation: str | None = None
    """`sandbox` if each try of a `process` task runs in one, `none` if not; null if it is not known."""
    trusted_tenants: bool = False
    """Whether the cluster takes tasks of many tenants although it does not isolate them."""
    cordoned_by: str = ""
    """The subject of the operator who has cordoned it last; empty if none has, or the caller may not know."""
    cordoned_by_routing: int | None = None
    """The number of the routing revision in force, if that cordons the region."""


class RegionList(Struct, frozen=True, kw_only=True):
    """The list of all regions of this gateway.

    `cut_off`: the gateway believes that it, not its regions, is unreachable; it moves no shard that may be
    running, and places new work only in regions that answer.
    """

    items: tuple[RegionState, ...]
    cut_off: bool


class JournalRelease(Struct, frozen=True, kw_only=True):
    """The response to `replace`: the region admits the next cluster journal that answers there."""

    region: str


class CordonStatus(Struct, frozen=True, kw_only=True):
    """The response to cordon, uncordon, drain and forget: the state of the region afterwards.

    `inflight`: the number of attempts that are, or may still be, there; a drain is done when it is 0.
    """

    region: str
    cordoned: bool
    inflight: int


def summary(run: Run) -> RunSummary:
    """Converts a run to the `RunSummary` that lists show."""
    return convert(run, RunSummary, from_attributes=True)


def detail(
    run: Run, shards: Sequence[Shard], tasks: Sequence[TaskRow], counts: Mapping[TaskPhase, int]
) -> RunDetail:
    """Builds a `RunDetail` from a run, its `shards` and `tasks`, and the `counts` of all tasks by phase."""
    return RunDetail(
        **structs.asdict(summary(run)),
        permitted=run.permitted,
        workflow=Raw(run.workflow),
        shard_phases=Counter(shard.phase for shard in shards),
        task_phases=dict(counts.items()),
        shards=convert(shards, tuple[ShardView, ...], from_attributes=True),
        tasks=convert(with_lists_of_instances(tasks), tuple[TaskView, ...], from_attributes=True),
        # A task may have started in between.
        tasks_left_out=max(0, sum(counts.values()) - sum(instance_of(task.task) is None for task in tasks)),
    )


def region_state(
    view: RegionView, score: float, *, cordoned_by: str = "", cordoned_by_routing: int | None = None
) -> RegionState:
    """Converts a `RegionView` and its placement score to the API's `RegionState`.

    Copies the fields of `view`, and adds the values that its properties compute.
    """
    computed = {
        "score": score,
        "cordoned": view.cordoned,
        "avoided": view.routing.avoid,
        "forgotten": view.forgotten,
        "executors": sorted(set(view.executors)),
        "isolation": view.isolation,
        "trusted_tenants": view.trusted_tenants,
        "cordoned_by": cordoned_by,
        "cordoned_by_routing": cordoned_by_routing,
    }
    return convert(structs.asdict(view) | computed, RegionState)
