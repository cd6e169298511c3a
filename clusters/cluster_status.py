"""What a cluster reports about itself, as a part of each of its answers to a gateway."""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from clusters.protocol_bounds import Held, Mebibytes, Name, Processors, Queued, Slots, Uptime
from waypost.workflow.task import Count

TENANTS_REPORTED: Final = 2
TenantName: TypeAlias = Annotated[str, Meta(max_length=1_024)]


class Isolation(StrEnum):
    """The ways in which a cluster runs the processes of tasks: each try in a sandbox of its own, or not."""

    SANDBOX = "sandbox"
    NONE = "none"


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """A cluster's report about itself, part of each answer: identity, load and capabilities."""

    region: Name
    incarnation: Name
    boot: Name
    uptime: Uptime
    slots: Slots
    """The most attempts that it holds; while its queue is full, those that it holds now."""
    held: Held
    """The number of attempts that the cluster holds now."""
    seq: Count
    """The seq of the newest event that the cluster has journalled."""
    queued: Queued = 0
    """The number of tasks that are ready and wait for a processor."""
    executors: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    """The task types that the cluster can run."""
    exclusive: Annotated[tuple[Name, ...], Meta(max_length=1_000)] | None = None
    """The task types that may be exclusive there, as they hold to run-leases. None: not reported."""
    cpu: Processors | None = None
    """The number of processors; a task that asks for more never starts there. None: not reported."""
    memory_mib: Mebibytes | None = None
    """The memory in MiB; a task that asks for more never starts there. None: not reported, or not counted."""
    full: bool = False
    """Whether so many tasks wait there that it takes no further attempt for now, whatever its slots."""
    features: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    """The features of `clusters.features` that it has; a run that asks for others is not sent there."""
    isolation: Isolation | None = None
    """Whether its `process` tasks run in sandboxes. None: not reported, or it runs no such tasks."""
    trusted_tenants: bool = False
    """Whether it takes tasks of many tenants although it does not isolate them."""
    tenants: Annotated[tuple[TenantName, ...], Meta(max_length=TENANTS_REPORTED)] | None = None
    """The fairness keys of which it has tasks or files, two at most. None: it takes tasks of any.

    A cluster that isolates nothing, and whose tenants are not trusted, takes those of one key.
    """
