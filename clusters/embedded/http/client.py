"""The gateway's end of the road to an embedded cluster: `ClusterAdapter` over HTTP. The other end is `clusters/embedded/http/server.py`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Self

import msgspec
from msgspec.json import Decoder

from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.transport import Purpose, Timeouts, Transport
from waypost.cancellation import cancel_and_wait
from waypost.tls import cluster_name

ANSWERS: Decoder[BatchAnswers] = Decoder(BatchAnswers)
HELLO = Decoder(Hello)
EVENT: Decoder[ClusterEvent] = Decoder(ClusterEvent)
CHUNK = Decoder(LogChunk)


class EmbeddedCluster:
    """The cluster of `region` at `address` (`https://10.1.0.5:7101`); whoever answers there without that region's certificate is refused.

    `tls` is a context of `waypost.tls.client_context`; `store` gives IDENTITY.ERA of the gateway's store, for each call. A stream on which
    nothing comes for `timeouts.read_seconds` ends as `Timeout`.
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
        self._transport = Transport(
            address, server_name=cluster_name(region), tls=tls, store=store, timeouts=timeouts
        )
        self._probes: set[asyncio.Task[BatchAnswers]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_and_wait(self._probes)
        await self._transport.__aexit__()

    async def apply(self, batch: Batch) -> BatchAnswers:
        return await self._transport.call(
            Purpose.APPLY, "/v1/apply", ANSWERS, content=msgspec.json.encode(batch)
        )

    async def attempts(self) -> Hello:
        return await self._transport.call(Purpose.APPLY, "/v1/attempts", HELLO)

    def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        return self._transport.lines(
            Purpose.STREAM, "/v1/watch", EVENT, {"cursor": str(cursor), "incarnation": incarnation}
        )

    def logs(self, attempt: AttemptId, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
        where = {"run": attempt.run, "shard": str(attempt.shard), "epoch": str(attempt.epoch), "task": task}
        return self._transport.lines(
            Purpose.LOGS, "/v1/logs", CHUNK, {**where, "offset": str(offset), "follow": str(follow).lower()}
        )

    async def probe(self) -> ClusterStatus:
        """A caller that gives up leaves the call under way, within its own time-outs.

        Ending it would close its connection, and on a slow road each probe would then pay for a handshake and be too late again.
        """
        probe = asyncio.create_task(
            self._transport.call(Purpose.PROBE, "/v1/apply", ANSWERS, content=msgspec.json.encode(Batch())),
            name="probe",
        )
        self._probes.add(probe)
        probe.add_done_callback(self._probed)
        return (await asyncio.shield(probe)).status

    def _probed(self, probe: asyncio.Task[BatchAnswers]) -> None:
        self._probes.discard(probe)
        if not probe.cancelled():
            probe.exception()  # seen, though the caller may be gone
