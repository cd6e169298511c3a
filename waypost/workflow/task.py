"""The types of a task in a workflow document, shared by the gateway and the clusters that run it."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

TASK_NAME: Final = r"^[A-Za-z0-9._-]{1,128}$(?!\n)"
_NAME_TEXT: Final = "a name of 1 to 128 letters, digits, dots, dashes and underscores"
TaskName: TypeAlias = Annotated[str, Meta(pattern=TASK_NAME, description=_NAME_TEXT)]
Need: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": TASK_NAME}, description=_NAME_TEXT)]
"""The name of another task of the workflow.

The pattern is in the JSON Schema alone: that there is a task of that name is checked anyway.
"""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An integer that fits a signed 64-bit column of a journal, for counts and sequence numbers."""
Places: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
"""The number of tasks that may hold a semaphore at once."""
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
Data: TypeAlias = Annotated[
    dict[str, Any],
    Meta(
        description="Data in or out: handed to the task as JSON, and visible to policy. `file` or `s3` with "
        "`storage`, `path`, `workspace` and (of a source) `sha256` is a file that the region moves."
    ),
]


RetryCause: TypeAlias = Literal["failure", "timeout", "lost"] | Annotated[int, Meta(ge=1, le=255)]
"""A way in which a try fails, as `retry.on` names it: a word, or the exit code of a command."""
Runs: TypeAlias = Literal["onSuccess", "onFailure", "always"]
"""When a task runs, by how the tasks that it needs have ended."""


class Retry(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """The rule by which a failed task is retried: at most `limit` times, with a pause before each retry.

    The pause after try number n is `backoff_seconds * factor ** (n - 1)`, and at most `max_seconds`; `jitter`
    shortens it by chance, by that share of it at most.
    """

    limit: Annotated[int, Meta(ge=0, le=100)] = 0
    backoff_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    max_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    jitter: Annotated[
        float, Meta(ge=0, le=1, description="The share of a pause that chance may take off: 0 is none.")
    ] = 0.0
    on: Annotated[
        Annotated[tuple[RetryCause, ...], Meta(min_length=1, max_length=259)] | None,
        Meta(
            description="What is tried again: exit codes; `timeout`; `lost`: a region cannot run it, another "
            "one may; `failure`: every other failure. By default everything.",
        ),
    ] = None


class Resources(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """The resources that a running task takes: `cpu` processors, `memory_mib` for each of its processes."""

    cpu: Annotated[float, Meta(gt=0, le=1024)] = 1.0
    memory_mib: Annotated[int, Meta(gt=0, le=1_073_741_824)] | None = field(name="memoryMiB", default=None)


class TaskSpec(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """One task of a workflow's DAG, in the document and in requests to a cluster."""

    name: TaskName
    type: Annotated[str, Meta(description="The executor that runs it.")]
    run: Annotated[
        dict[str, Any],
        Meta(description="What to run, in the executor's own words. Placeholders are filled in."),
    ]
    source: Data | None = None
    target: Data | None = None
    needs: Annotated[tuple[Need, ...], Meta(description="Tasks that come before it.")] = ()
    runs: Annotated[
        Runs | None,
        Meta(
            description="Whether it runs where all that it needs went well (the default), where at least one "
            "failed, or always, once all have ended. In finally, without needs: about the rest of the run."
        ),
    ] = None
    when: Annotated[
        str | None,
        Meta(
            description='CEL over tasks["name"].output, tasks["name"].phase, params and shard. '
            "False: the task is skipped."
        ),
    ] = None
    when_skipped: Annotated[
        Literal["run", "skip"],
        Meta(description="What it does if a task that it needs was skipped."),
    ] = "run"
    continue_on_failure: Annotated[
        bool,
        Meta(
            description="Its failure is recorded, and nothing else: those that need it run, the run does not "
            "fail for it."
        ),
    ] = False
    timeout_seconds: Annotated[
        Seconds | None, Meta(description="All processes of a try are killed after so long.")
    ] = None
    retry: Retry = Retry()
    outputs: Annotated[
        dict[str, Any] | None,
        Meta(description="A JSON Schema of its output. An output that does not fit fails the try."),
    ] = None
    for_each: Annotated[
        tuple[Any, ...] | str | None,
        Meta(
            description="A list, or a placeholder for one: the task runs once for each item, with `${item}` "
            "and `${index}`. Its output is the list of theirs."
        ),
    ] = None
    max_parallel: Annotated[
        Annotated[int, Meta(ge=1, le=1_000)] | None,
        Meta(description="The most instances of `forEach` that run at once in a shard."),
    ] = None
    result_scope: Annotated[
        Literal["global", "region"],
        Meta(
            description="Where what it made lives. `region`: there only, so after a failover it runs again "
            "if something needs it."
        ),
    ] = "global"
    priority: Annotated[int, Meta(ge=0, le=9, description="Higher starts first, within its cluster.")] = 5
    resources: Resources = Resources()
    semaphore: Annotated[
        TaskName | None,
        Meta(description="One of spec.semaphores, of which it holds a place while a try runs."),
    ] = None
    secrets: Annotated[
        tuple[str, ...] | None,
        Meta(description="Names of those of the workflow's secrets that it gets. By default all."),
    ] = None


class SideEffects(StrEnum):
    """The kinds of side effects that a workflow's tasks may have, which decide how a failover proceeds.

    Two attempts of a shard may overlap briefly if they are `idempotent`, and never if they are `exclusive`.
    """

    IDEMPOTENT = "idempotent"
    EXCLUSIVE = "exclusive"
