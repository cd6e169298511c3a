"""The interface by which a store reads the inputs of a run's later stages: outputs and failed tasks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.core.run import TaskRow


class FeedsStages(Protocol):
    """The interface by which a store reads the inputs of stages: outputs by shard, and failed tasks."""

    async def outputs_by_shard(
        self, run_id: str, tasks: Sequence[str], *, shards: int, maximum_bytes: int
    ) -> Mapping[str, msgspec.Raw] | None:
        """Returns the outputs of these tasks in the first `shards` shards of a run, by the tasks' names.

        Each is a JSON list, in the order of the shards, with null where a task has left no output. None where
        they have more than `maximum_bytes` together.
        """
        ...

    async def failed_tasks(
        self, run_id: str, shard: int, *, without: Iterable[str] = (), limit: int
    ) -> Sequence[TaskRow]:
        """Reads the first `limit` tasks of a shard that have failed, by name, without their outputs.

        The tasks `without` are left out.
        """
        ...
