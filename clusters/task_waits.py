"""What the tasks of an attempt wait for in their cluster, as the gateway asks it for people who look."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from clusters.protocol_bounds import Name, Uptime
from waypost.workflow.task import Count

WAITS_MAXIMUM: Final = 200
"""The most waiting tasks of an attempt that one answer lists."""


class WaitReason(StrEnum):
    """The reasons why a task of an attempt that goes on waits in its cluster."""

    NEEDS = "Needs"
    """It waits for tasks that it needs, or for the attempt to start any."""
    CONDITION = "Condition"
    """Its condition (`when`) is being evaluated."""
    RETRY = "Retry"
    """It pauses before its next try, for `left_seconds`."""
    PROCESSOR = "Processor"
    """It waits for free processors, and its tenant is served next; `ahead` tasks of it are in line too."""
    TURN = "Turn"
    """It waits for its tenant's turn: a task of another tenant is served before; `ahead` as above."""
    MEMORY = "Memory"
    """Too little memory is free for it, or for the task `name` of its tenant, which is before it in line.

    `asked`, `taken` and `places` are MiB: what that task asks for, what is taken, and what there is.
    """
    SEMAPHORE = "Semaphore"
    """All `places` of the semaphore `name` are taken."""
    RATE = "Rate"
    """Its tenant may start no further task of the executor `name` for `left_seconds`."""
    REPORTS = "Reports"
    """The gateway has yet to take what its tenant's tasks have reported."""
    LEASE = "Lease"
    """Its attempt is exclusive, and has no run-lease now."""


class TaskWait(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one task of an attempt waits for now, in its cluster."""

    task: Name
    reason: WaitReason
    seconds: Uptime = 0.0
    """How long it has been ready, for the reasons of the queue."""
    name: Annotated[str, Meta(max_length=128)] = ""
    taken: Count = 0
    places: Count = 0
    ahead: Count = 0
    """How many tasks of its tenant are in line beside it, before or behind."""
    left_seconds: Uptime = 0.0
    asked: Count = 0


class TaskWaits(Struct, frozen=True, kw_only=True):
    """The answer to `waits`: what the tasks of one attempt wait for that have not ended and do not run.

    `left_out` is the number of waiting tasks beyond the first `WAITS_MAXIMUM`.
    """

    waits: Annotated[tuple[TaskWait, ...], Meta(max_length=WAITS_MAXIMUM)]
    left_out: Count = 0
