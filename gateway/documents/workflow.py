"""The types of a submitted workflow document: `Workflow` and its parts.

`checks.py` finds what types cannot express; `parsing.py` parses text into these types. The JSON Schema that
the API serves is generated from them, with their docstrings and descriptions as its text.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from gateway.core.run import Notify
from waypost.workflow.secrets import SecretSpec
from waypost.workflow.stages import Stage
from waypost.workflow.task import Need, Places, Seconds, SideEffects, TaskName, TaskSpec

DnsLabel: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)",
        description="a DNS label: lower-case letters, digits and dashes",
    ),
]
Tenant: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$(?!\n)",
        description="the name of a tenant: "
        "letters and digits, with dots, dashes and underscores between them",
    ),
]
LabelValue: TypeAlias = Annotated[str, Meta(max_length=256)]


class Metadata(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The name, tenant and labels of a workflow."""

    name: DnsLabel
    tenant: Annotated[Tenant | None, Meta(description="Whose it is. By default the token's.")] = None
    labels: Annotated[dict[str, LabelValue], Meta(description="To find runs by: 64 at most.")] = {}


ANY_ENGINE: Final = "any"
"""The `engine` of a workflow that runs in regions of every engine."""


class PlacementWishes(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The regions that the submitter asks for or avoids. Policy decides which are permitted."""

    regions: Annotated[
        tuple[str, ...], Meta(description="Only these, where policy permits them. Empty: any.")
    ] = ()
    avoid: Annotated[tuple[str, ...], Meta(description="Not these, unless nothing else is left.")] = ()
    spread: Annotated[
        bool, Meta(description="Shards of this run go to different regions as evenly as can be.")
    ] = False


class Shards(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The fan-out into shards: `count` slices, or one slice for each of `items`; not both."""

    count: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None, Meta(description="How many slices.")
    ] = None
    items: Annotated[tuple[Any, ...] | None, Meta(description="What each slice is about: any JSON.")] = None


class Schedule(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The times at which the workflow is to run again. Not supported yet."""

    cron: str
    timezone: str = "UTC"
    concurrency: Literal["allow", "forbid", "replace"] = "allow"


class Spec(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The specification of a workflow: its tasks, and how, where and by when they are to run."""

    tasks: Annotated[
        tuple[TaskSpec, ...], Meta(min_length=1, description="The nodes of the DAG. Their names differ.")
    ]
    targets: Annotated[
        tuple[Need, ...], Meta(description="Only these tasks and what they need run. Empty: all.")
    ] = ()
    fail_fast: Annotated[
        bool,
        Meta(
            description="The first failure of a task ends those beside it in its shard. False: what does not "
            "need the failed one runs to its end."
        ),
    ] = True
    priority: Annotated[int, Meta(ge=0, le=9, description="Higher goes first. Policy may cap it.")] = 5
    deadline_seconds: Annotated[
        Seconds | None, Meta(description="From acceptance; past it the run fails, queued or running.")
    ] = None
    data_class: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None,
        Meta(description="A word that policy maps to permitted regions."),
    ] = None
    side_effects: SideEffects = SideEffects.IDEMPOTENT
    engine: Annotated[
        DnsLabel,
        Meta(description="It runs only in regions of this engine, such as `embedded`; `any`: in all."),
    ] = ANY_ENGINE
    placement: PlacementWishes = PlacementWishes()
    shards: Shards = Shards()
    params: Annotated[
        dict[str, Any], Meta(description="Values for placeholders: `${params.date}` in any string of a task.")
    ] = {}
    secrets: Annotated[
        tuple[SecretSpec, ...],
        Meta(max_length=100, description="Values that tasks get from their region, and no document holds."),
    ] = ()
    notify: Annotated[
        tuple[Notify, ...],
        Meta(
            max_length=8,
            description="Webhooks that are called when the run has ended, with a signed message.",
        ),
    ] = ()
    schedule: Schedule | None = None
    semaphores: Annotated[
        dict[TaskName, Places],
        Meta(
            max_length=32,
            description="How many of the tenant's tasks that name a semaphore run at once in a region.",
        ),
    ] = {}
    period_seconds: Annotated[
        Seconds | None,
        Meta(description="How often it is submitted; a rate-monotonic queue serves the shortest first."),
    ] = None
    collect: (
        Annotated[
            tuple[TaskSpec, ...],
            Meta(description="Tasks that run once, when all shards have succeeded; they may need any task."),
        ]
        | UnsetType
    ) = UNSET
    final: (
        Annotated[
            tuple[TaskSpec, ...],
            Meta(description="Tasks that run once, when everything else has ended, however it ended."),
        ]
        | UnsetType
    ) = field(name="finally", default=UNSET)
    finally_seconds: (
        Annotated[
            float,
            Meta(gt=0, le=86_400, description="The time limit of `finally`, all its tasks. Default: 600."),
        ]
        | UnsetType
    ) = UNSET

    def tasks_of(self, stage: Stage) -> tuple[TaskSpec, ...]:
        """Returns the tasks of a stage; none if the workflow does not have the stage."""
        if stage is Stage.MAIN:
            return self.tasks
        tasks = self.collect if stage is Stage.COLLECT else self.final
        return () if tasks is UNSET else tasks

    def with_tasks(self, change: Callable[[TaskSpec], TaskSpec]) -> "Spec":
        """Returns the specification with the tasks of all stages as `change` makes them."""
        return structs.replace(
            self,
            tasks=tuple(map(change, self.tasks)),
            collect=UNSET if self.collect is UNSET else tuple(map(change, self.collect)),
            final=UNSET if self.final is UNSET else tuple(map(change, self.final)),
        )

    @property
    def has_stages(self) -> bool:
        """Whether the workflow has tasks in `collect` or `finally`."""
        return bool(self.collect or self.final)

    @property
    def all_tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks of all stages, in order."""
        if not self.has_stages:
            return self.tasks
        return tuple(task for stage in Stage for task in self.tasks_of(stage))

    @property
    def located_tasks(self) -> Iterator[tuple[str, TaskSpec]]:
        """The tasks of all stages, in order, each with its JSON pointer in the document."""
        for stage in Stage if self.has_stages else (Stage.MAIN,):
            yield from self.located_tasks_of(stage)

    def located_tasks_of(self, stage: Stage) -> Iterator[tuple[str, TaskSpec]]:
        """Yields the tasks of a stage, in order, each with its JSON pointer in the document."""
        at = f"/spec/{'tasks' if stage is Stage.MAIN else stage}"
        for index, task in enumerate(self.tasks_of(stage)):
            yield f"{at}/{index}", task


class Workflow(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A DAG of tasks, submitted once and run in one or more shards, each in one region at a time."""

    api_version: Literal["waypost/v1"]
    kind: Literal["Workflow"]
    metadata: Metadata
    spec: Spec

    @property
    def shard_count(self) -> int:
        """The number of shards: the number of items, or the count; 1 by default."""
        shards = self.spec.shards
        return len(shards.items) if shards.items is not None else shards.count or 1

    @property
    def stage_tasks(self) -> tuple[int, int]:
        """The numbers of tasks in the stages `collect` and `finally`."""
        spec = self.spec
        if not spec.has_stages:
            return 0, 0
        return len(spec.tasks_of(Stage.COLLECT)), len(spec.tasks_of(Stage.FINALLY))

    @property
    def items(self) -> tuple[Any, ...]:
        """The item of each shard; null for each if the fan-out is a count."""
        return self.spec.shards.items if self.spec.shards.items is not None else (None,) * self.shard_count
