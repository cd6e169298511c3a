"""What the gateway asks of a cluster, whatever engine is behind it. All calls take and return many."""

from collections.abc import AsyncIterator
from typing import Protocol, Self

from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk


class ClusterAdapter(Protocol):
    """One cluster. Every method raises `ClusterError` and nothing else; none retries."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def apply(self, batch: Batch) -> BatchAnswers:
        """Tombstones, creates and renewals; answered when they are durable there. Repeating it is harmless."""
        ...

    async def attempts(self) -> Hello:
        """What the cluster holds, to compare with what the store says it should."""
        ...

    def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        """`Hello`, then every journalled event after `cursor` in order, with beats between. Ends with the connection.

        `incarnation` names the journal that `cursor` counts in ("" and 0 at first); a cluster whose journal is behind that cursor
        has been restored: it takes a new incarnation first, and its `Hello` shows it.
        """
        ...

    def logs(self, attempt: AttemptId, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
        """What the task's tries wrote, from byte `offset`; with `follow`, until the task ends. Raises `NotFound` as reason."""
        ...

    async def probe(self) -> ClusterStatus:
        """An empty `apply` on a connection of its own: proves the road that a submission takes."""
        ...
