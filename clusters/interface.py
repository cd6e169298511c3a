"""The interface of a cluster adapter, through which the gateway calls a cluster, whatever its engine."""

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self, runtime_checkable

from msgspec import Struct

from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.task_waits import TaskWaits


class RegionConnection(Struct, frozen=True, kw_only=True):
    """The connection data of a region's cluster, from which its adapter is made: URL, TLS context, store."""

    region: str
    url: str
    """The URL of the cluster, without a password."""
    mutual_tls: Callable[[], ssl.SSLContext]
    """Returns the TLS context with the gateway's certificate; without one the gateway does not start.

    To be called only by the factory of an adapter that needs it: so regions without mutual TLS need no pki.
    """
    store: Callable[[], str]
    """Returns IDENTITY.ERA of the gateway's store, which may change while an adapter is in use."""

    @property
    def address(self) -> str:
        """Returns the region's URL without its scheme: the address that the adapter connects to."""
        return self.url.partition("://")[2]


@runtime_checkable
class CountsConnections(Protocol):
    """The protocol (interface) of an adapter that counts the open connections to its cluster."""

    @property
    def connections(self) -> int: ...

    @property
    def connections_maximum(self) -> int: ...


@runtime_checkable
class ListsWaits(Protocol):
    """The protocol (interface) of an adapter whose cluster says what the tasks of an attempt wait for."""

    async def waits(self, attempt: AttemptId) -> TaskWaits:
        """Returns what the tasks of an attempt wait for now; nothing for one that does not go on there.

        Raises `ClusterError`, with the reason `NotFound` where the cluster is too old to say.
        """
        ...


class ReadLog(Protocol):
    """The form of the two methods that read a log, `ClusterAdapter.logs` and `TimesLogs.timed_logs`."""

    def __call__(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]: ...


@runtime_checkable
class TimesLogs(Protocol):
    """The protocol (interface) of an adapter whose cluster says when a task's log was written."""

    def timed_logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        """Yields the same as `logs`, in pieces that have the time of their writing where that is known.

        Raises `ClusterError` as `logs` does, and `NotFound` also where the cluster is too old to say.
        """
        ...


class ClusterAdapter(Protocol):
    """The protocol (interface) of an adapter, through which the gateway calls one cluster.

    Its methods raise only `ClusterError` and retry nothing. It need not check what the cluster reports: the
    gateway calls it through `CheckedCluster` (`clusters/checked_cluster.py`), which does.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def apply(self, batch: Batch) -> BatchAnswers:
        """Sends a batch of orders (start or end attempts, lease grants) to the cluster; returns the answers.

        Returns when the orders are durable in the cluster. Idempotent. An attempt of a run whose side effects
        are exclusive starts no task before its lease is granted, and none is left when the lease ends. A
        cluster that cannot promise that for an executor leaves it out of `ClusterStatus.exclusive`, so that
        no such shard is placed there, and refuses the create as `Unsupported`.
        """
        ...

    async def attempts(self) -> Hello:
        """Returns the attempts that the cluster has, for comparison with the gateway's store."""
        ...

    def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        """Yields the cluster's events: `Hello`, then each journalled event after `cursor`, with heartbeats.

        The events are in order. The stream ends with the connection. `incarnation` names the journal in which
        `cursor` counts ("" and 0 at first). A cluster whose journal has not reached that cursor was restored
        from a copy: it takes a new incarnation first, which its `Hello` shows. Raises `ClusterError`
        (`Restored`) where events after `cursor` were acknowledged and are gone.
        """
        ...

    def logs(self, attempt: AttemptId, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
        """Yields the log of a task from byte `offset`; with `follow`, also what is written later.

        Raises `ClusterError` with the reason `NotFound` where there is no log.
        """
        ...

    async def probe(self) -> ClusterStatus:
        """Probes the cluster with an empty batch on a separate connection, and returns its status.

        This shows that a batch of orders would get through, commit included.
        """
        ...
