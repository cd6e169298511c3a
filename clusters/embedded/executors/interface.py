"""The interface of an executor, which runs one try (one start) of a task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self, TypeVar, runtime_checkable

import msgspec
from msgspec import Struct

from clusters.cluster_status import Isolation
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders

Run = TypeVar("Run", bound=Struct)


class ExecutorContext(Struct, frozen=True, kw_only=True):
    """The arguments of every executor's factory: the cluster's region, and the folder of all workspaces.

    An executor's own settings are passed beside it.
    """

    region: str
    workspaces: Path
    """The folder below which every shard's workspace lies."""
    hidden: tuple[Path, ...] = ()
    """The cluster's own folders (journal, keys), which no task may see."""


class Lease(Protocol):
    """The interface of a run-lease as an executor sees it: no task may run past `expires_at`."""

    @property
    def expires_at(self) -> float:
        """Returns the end of the run-lease, in seconds of the machine's monotonic clock.

        A renewal makes it later.
        """
        ...

    async def wait_for_renewal(self) -> None:
        """Waits for the next renewal of the run-lease: `expires_at` has grown when it returns."""
        ...


@runtime_checkable
class RunsProcesses(Protocol):
    """The protocol (interface) of an executor whose tasks are processes of this machine.

    Without isolation they could reach each other's files, and those of the cluster.
    """

    @property
    def isolation(self) -> Isolation:
        """Returns whether each try runs in a sandbox of its own, known once the executor is entered."""
        ...


class Executor(Protocol):
    """The protocol (interface) of an executor, which runs tasks, many at once, within `async with`.

    Cancelling `execute` kills the task's execution (try). Either way `execute` ends only when none of its
    processes is left. Time-outs are applied by the caller, which cancels.

    What a try has started (processes, containers) also ends soon after the cluster's process is killed, when
    nobody cancels: `process` has a watchdog for that. Each entry of the registry that is `exclusive` ends it
    before the run-lease expires, though the cluster hangs or is dead.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        """Runs a task once (one try) and returns the outcome; `lease` is None for a task that has no lease.

        Only tasks of exclusive attempts have one. Raises only `asyncio.CancelledError`: every error is an
        `Outcome` that did not succeed.
        """
        ...


def run_of(launch: Launch, run_type: type[Run]) -> Run | Outcome:
    """Converts the `run` of a try's task to its executor's type; a failed outcome where it does not fit.

    The gateway has checked it, but its version may be another than this cluster's.
    """
    try:
        return msgspec.convert(launch.task.run, run_type)
    except msgspec.ValidationError as error:
        return Outcome(succeeded=False, reason=f"run: {error}")


def isolation_of(executors: Mapping[str, Executor]) -> dict[str, Isolation]:
    """Returns how the executors of `executors` that run processes of this machine isolate them, by name."""
    return {name: found.isolation for name, found in executors.items() if isinstance(found, RunsProcesses)}
