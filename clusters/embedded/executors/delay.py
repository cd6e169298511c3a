"""The executor of `delay` tasks, which wait for a number of seconds and succeed.

Such tasks serve as pauses, in tests, and to replay the durations of a recorded workflow.
"""

import asyncio
from typing import Self

from clusters.embedded.executors.interface import Lease, run_of
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.workflow.run_types import DelayRun


class DelayExecutor:
    """Executes `delay` tasks by waiting for their `seconds`. Implements `Executor`.

    A delay ends with the cluster's process, so no guard process is needed to enforce a run-lease.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(
        self,
        launch: Launch,
        folders: TaskFolders,  # noqa: ARG002
        lease: Lease | None,  # noqa: ARG002
    ) -> Outcome:
        if isinstance(run := run_of(launch, DelayRun), Outcome):
            return run
        if run.seconds:
            await asyncio.sleep(run.seconds)
        return Outcome(succeeded=True)
