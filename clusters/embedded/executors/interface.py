"""How a cluster runs one try of a task."""

from pathlib import Path
from typing import Protocol, Self

from msgspec import Struct

from clusters.embedded.scheduling.state import Launch, Outcome


class Folders(Struct, frozen=True, kw_only=True):
    """Where a try reads and writes. `workspace` is the shard's own, on this region's disk, and outlives the try."""

    workspace: Path
    scratch: Path
    log: Path


class Lease(Protocol):
    """Until when an exclusive task may run, on the machine's monotonic clock. It grows while the gateway renews it."""

    @property
    def until(self) -> float: ...

    async def renewed(self) -> None:
        """Returns when `until` has changed."""
        ...


class Executor(Protocol):
    """Runs tries until it is left. Cancelling `execute` kills the try; it returns or raises only when none of its processes is left.

    Time-outs are not its own: it is cancelled.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(self, launch: Launch, folders: Folders, lease: Lease | None) -> Outcome:
        """How the try ended. Raises only `asyncio.CancelledError`: whatever goes wrong is an outcome."""
        ...
