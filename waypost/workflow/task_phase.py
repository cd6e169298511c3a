"""The phases of a task within an attempt of its shard."""

from enum import StrEnum
from typing import Final


class TaskPhase(StrEnum):
    """The phases of a task that was started or decided about; a task that was neither has no phase."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    """The task never runs: its condition was false, or it does not run after what it needs."""
    RETRYING = "Retrying"
    """The task's last try has failed, for the `reason`; the next begins at `next_try_at`."""
    FAILED = "Failed"
    """The task has failed for good: its retries are used up."""
    OMITTED = "Omitted"
    """The task never runs: a task that it needs has failed."""
    STOPPED = "Stopped"
    """The task was ended, or never begun, since another task has failed or its attempt has ended.

    A cluster reports it for the first alone; the second is set by the gateway's store.
    """


FINAL: Final = frozenset(
    {TaskPhase.SUCCEEDED, TaskPhase.SKIPPED, TaskPhase.FAILED, TaskPhase.OMITTED, TaskPhase.STOPPED}
)
"""The phases of a task that has ended, or never runs: what needs it may be decided about."""
