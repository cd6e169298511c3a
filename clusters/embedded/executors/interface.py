"""The interface of an executor: it runs one try of a task, whatever the task's type is."""

from typing import Protocol, Self

from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders


class Lease(Protocol):
    """The protocol of an exclusive attempt's run-lease for executors: no task may run past `expires_at`."""

    @property
    def expires_at(self) -> float:
        """The end of the lease, in seconds of the machine's monotonic clock. Each renewal makes it later."""
        ...

    async def wait_for_renewal(self) -> None:
        """Waits for the next renewal: `expires_at` has grown when it returns."""
        ...


class Executor(Protocol):
    """The protocol of an executor: runs tries of tasks, many at once, within `async with`.

    Cancelling `execute` kills the try. Either way `execute` ends only when none of the try's processes is
    left. Time-outs are applied by the caller, which cancels.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        """Runs one try and returns how it ended; `lease` is None for an attempt that is not exclusive.

        Raises only `asyncio.CancelledError`: every error is an `Outcome` that did not succeed.
        """
        ...
