"""Reads the log of a task in one attempt from the cluster of its region, in windows or as it grows."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from clusters.interface import ClusterAdapter, TimesLogs
from clusters.protocol import AttemptId, LogChunk
from clusters.transport import CONNECTIONS, Purpose
from gateway.api.http.call import Call
from gateway.core.errors import Unavailable
from gateway.settings import RequestSettings

WINDOW_CHARACTERS: Final = 262_144
"""The number of characters of a log that are read from a cluster at once and kept for a slow client."""
WINDOW_CHUNKS: Final = 1_024
"""The number of chunks after which a window ends, however short they are: each takes memory of its own."""
FOLLOWERS: Final = RequestSettings(streams_per_tenant=32, streams_maximum=CONNECTIONS[Purpose.FOLLOW] - 8)
"""The limits on followed logs in one region, per tenant and in all: fewer than the connections for them, of
which a few may still be closing."""


class LogSource(Struct, frozen=True, kw_only=True):
    """The region, attempt and task whose log is read. `over`: the task has ended. `timed`: with times."""

    region: str
    attempt: AttemptId
    task: str
    over: bool
    timed: bool = False


async def read_attempt(call: Call, source: LogSource, offset: int) -> AsyncGenerator[LogChunk, None]:
    """Yields one attempt's log of a task, from byte `offset` to its present end.

    Reads the log from the cluster in windows, so that a slow client holds no connection to the cluster.
    Raises `Unavailable` where the tenant gets no turn, `TooManyRequests` where the tenant has too much
    unread.
    """
    cluster, tenant, services = _cluster_of(call, source), call.principal.tenant, call.services
    services.unread.check(tenant, services.settings.requests)
    turn, ended = call.turn(services.log_reads[source.region]), False
    while not ended:
        window: list[LogChunk] = []
        size, ended = 0, True
        chunks = _chunks(cluster, source, offset, follow=False)
        async with turn, _closed_at_end(chunks):
            async for chunk in chunks:
                window.append(chunk)
                size, offset = size + len(chunk.text), chunk.offset
                if size >= WINDOW_CHARACTERS or len(window) == WINDOW_CHUNKS:
                    ended = False
                    break
        with services.unread.hold(tenant, size):
            for chunk in window:
                yield chunk
        # From the second window on the response has begun: it waits as long as it takes.
        turn = services.log_reads[source.region].turn(tenant)


async def follow_attempt(call: Call, source: LogSource, offset: int) -> AsyncGenerator[LogChunk, None]:
    """Yields one attempt's log of a task from byte `offset` on, as the task writes it.

    Raises `TooManyRequests` where the tenant follows too many logs of that region already.
    """
    cluster = _cluster_of(call, source)
    place = call.services.followers.slot(call.principal.tenant, FOLLOWERS, among=source.region)
    chunks = _chunks(cluster, source, offset, follow=True)
    with place:
        async with _closed_at_end(chunks):
            async for chunk in chunks:
                yield chunk


def _cluster_of(call: Call, source: LogSource) -> ClusterAdapter:
    """Returns the cluster of the source's region.

    Raises `Unavailable` if the settings have no such region.
    """
    cluster = call.services.clusters.get(source.region)
    if cluster is None:
        raise Unavailable(f"region {source.region}, where the task ran, is not known to this gateway")
    return cluster


def _chunks(
    cluster: ClusterAdapter, source: LogSource, offset: int, *, follow: bool
) -> AsyncIterator[LogChunk]:
    read = cluster.timed_logs if source.timed and isinstance(cluster, TimesLogs) else cluster.logs
    return read(source.attempt, source.task, offset=offset, follow=follow)


@asynccontextmanager
async def _closed_at_end(chunks: AsyncIterator[LogChunk]) -> AsyncIterator[None]:
    """Opens a context that at its end closes the log stream `chunks` and its connection."""
    try:
        yield
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
