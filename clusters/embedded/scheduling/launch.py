"""One try of one task: what an executor gets to run, and how the try ended."""

from typing import Any

from msgspec import Struct

from clusters.protocol import AttemptId
from waypost.workflow.task import TaskSpec


class Launch(Struct, frozen=True, kw_only=True):
    """One try of one task, ready to run: placeholders are filled in, `input` is the JSON that the task may read."""

    attempt: AttemptId
    task: TaskSpec
    tries: int
    """The number of this try, from 1, counted over all epochs."""
    input: dict[str, Any]
    exclusive: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """How a try ended. `reason` is a sentence, empty where it succeeded."""

    succeeded: bool
    output: Any = None
    reason: str = ""
    killed: bool = False
    """The cluster has ended it (lease, tombstone, close): no failure of the task, and no retry is used up."""
    lost: bool = False
    """This cluster cannot run it (disk full, no descriptors left); another may."""
