"""The gateway's HTTP client for an embedded cluster, which implements `ClusterAdapter`.

The other end is `clusters/embedded/http/server.py`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Self

import msgspec
from msgspec.json import Decoder

from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.task_waits import TaskWaits
from clusters.transport import CONNECTIONS, Purpose, Timeouts, Transport
from waypost.cancellation import cancel_and_wait
from waypost.tls import cluster_name

ANSWERS: Decoder[BatchAnswers] = Decoder(BatchAnswers)
HELLO = Decoder(Hello)
EVENT: Decoder[ClusterEvent] = Decoder(ClusterEvent)
CHUNK = Decoder(LogChunk)
WAITS = Decoder(TaskWaits)


class EmbeddedCluster:
    """Calls the embedded cluster of `region` at `address` over HTTP. Implements `ClusterAdapter`.

    An address is `https://10.1.0.5:7101`. A server that does not have that region's certificate is refused.
    `tls` is a context of `waypost.tls.client_context`; `store` gives IDENTITY.ERA of the gateway's store for
    each call. A stream on which nothing comes for `timeouts.read_seconds` ends with the `ClusterError`
    `Timeout`.
    """

    def __init__(
        self,
        address: str,
        *,
        region: str,
        tls: ssl.SSLContext,
        store: Callable[[], str],
        timeouts: Timeouts | None = None,
    ) -> None:
        self._region, self._address = region, address
        self._transport = Transport(
            address, server_name=cluster_name(region), tls=tls, store=store, timeouts=timeouts
        )
        self._probes: set[asyncio.Task[BatchAnswers]] = set()

    def __repr__(self) -> str:
        return f"EmbeddedCluster({self._region} at {self._address}, probes under way={len(self._probes)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._probes)
        await self._transport.__aexit__()

    @property
    def connections(self) -> int:
        return self._transport.connections

    @property
    def connections_maximum(self) -> int:
        return sum(CONNECTIONS.values())

    async def apply(self, batch: Batch) -> BatchAnswers:
        return await self._apply(Purpose.APPLY, batch)

    async def attempts(self) -> Hello:
        return await self._transport.call(Purpose.APPLY, "/v1/attempts", HELLO)

    def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        asked = {"cursor": str(cursor), "incarnation": incarnation}
        return self._transport.lines(Purpose.STREAM, "/v1/watch", EVENT, asked)

    def logs(self, attempt: AttemptId, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
        return self._log("/v1/logs", attempt, task, offset, follow=follow)

    def timed_logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        return self._log("/v1/timed-logs", attempt, task, offset, follow=follow)

    def _log(
        self, path: str, attempt: AttemptId, task: str, offset: int, *, follow: bool
    ) -> AsyncIterator[LogChunk]:
        where = {"run": attempt.run, "shard": str(attempt.shard), "epoch": str(attempt.epoch), "task": task}
        return self._transport.lines(
            Purpose.FOLLOW if follow else Purpose.LOGS,
            path,
            CHUNK,
            {**where, "offset": str(offset), "follow": str(follow).lower()},
        )

    async def waits(self, attempt: AttemptId) -> TaskWaits:
        where = {"run": attempt.run, "shard": str(attempt.shard), "epoch": str(attempt.epoch)}
        return await self._transport.call(Purpose.LOGS, "/v1/waits", WAITS, params=where)

    async def probe(self) -> ClusterStatus:
        """Probes the cluster by sending it an empty batch of requests; returns the cluster's status.

        If the caller is cancelled, the call goes on until its own time-outs: cancelling it would close its
        connection. On a slow network path the next probe would then have to wait for a handshake, and be too
        late again.
        """
        probe = asyncio.create_task(self._apply(Purpose.PROBE, Batch()), name="probe")
        self._probes.add(probe)
        probe.add_done_callback(self._discard_probe)
        return (await asyncio.shield(probe)).status

    async def _apply(self, purpose: Purpose, batch: Batch) -> BatchAnswers:
        return await self._transport.call(purpose, "/v1/apply", ANSWERS, content=msgspec.json.encode(batch))

    def _discard_probe(self, probe: asyncio.Task[BatchAnswers]) -> None:
        self._probes.discard(probe)
        if not probe.cancelled():
            # Retrieved, or asyncio logs it as never retrieved where the caller has given up.
            probe.exception()
