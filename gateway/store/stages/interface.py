"""The interface by which a store reads the inputs of a run's later stages: outputs and failures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from waypost.workflow.stages import Ending


class CollectedTask(Struct, frozen=True, kw_only=True):
    """What a main task has left in all shards of its run, as `collect` sees it."""

    outputs: msgspec.Raw
    """A JSON list of its outputs, in the order of the shards, with null where it has left none."""
    failed: int = 0
    """The number of shards in which it has failed."""


class FeedsStages(Protocol):
    """The interface by which a store reads the inputs of stages: outputs by shard, and how all else ended."""

    async def collected(
        self, run_id: str, tasks: Sequence[str], *, shards: int, maximum_bytes: int
    ) -> Mapping[str, CollectedTask] | None:
        """Returns what these tasks have left in the first `shards` shards of a run, by the tasks' names.

        None where their outputs have more than `maximum_bytes` together.
        """
        ...

    async def ending(self, run_id: str, *, tolerated: Iterable[str], limit: int) -> Ending:
        """Returns how all shards of a run but `finally` have ended, with the first `limit` failures.

        Failures are in the order of the shards, then of the tasks' names, without those of the tasks
        `tolerated`. A shard that has failed without another one counts as one, without a task.
        """
        ...
