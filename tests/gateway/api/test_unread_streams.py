"""Tests callers that do not read, streams past their token's expiry, and crowds, on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import structs

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, LogChunk
from gateway.api.http import call, responses
from gateway.api.http.services import Services
from gateway.api.logs import reading, task_log
from gateway.api.logs.reading import FOLLOWERS
from gateway.api.routes import api
from gateway.core.history import HistoryKind
from gateway.core.run import TaskRow
from gateway.core.shard_states import Event, advance
from gateway.settings import RequestSettings
from gateway.store.interface import ShardWrite, Store
from tests.gateway.api.conftest import Door
from tests.gateway.api.test_logs import started
from tests.gateway.core.history_entries import history_entry
from waypost.serving import Server
from waypost.workflow.task_phase import TaskPhase

Document = dict[str, Any]
HOST = "127.0.0.1"
OUTPUT = "x" * 60_000


class CrowdedRegion:
    """A fake region with few connections for logs, which counts those in use."""

    def __init__(self, *, text: str = "", connections: int = 16, piece: int = 65_536) -> None:
        self.text, self.connections, self.piece = text, connections, piece
        self.reading = self.following = 0
        self.reads: list[int] = []
        """The number of pieces that each call has read."""

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        if self.reading >= self.connections and not follow:
            raise ClusterError("Busy")
        self.reading += not follow
        self.following += follow
        self.reads.append(0)
        call = len(self.reads) - 1
        try:
            for start in range(offset, len(self.text), self.piece):
                await asyncio.sleep(0)
                piece = self.text[start : start + self.piece]
                self.reads[call] += 1
                yield LogChunk(text=piece, offset=start + len(piece))
            if follow:
                await asyncio.Event().wait()
        finally:
            self.reading -= not follow
            self.following -= follow


@pytest.fixture
async def run(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


async def unread(server: Server, path: str) -> socket.socket:
    """Sends a request and returns the socket of a caller that reads nothing by itself."""
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    caller.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(caller, (HOST, server.port))
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer payments.ada\r\n\r\n"
    await loop.sock_sendall(caller, request.encode())
    return caller


async def status_of(caller: socket.socket) -> int:
    return int((await asyncio.get_running_loop().sock_recv(caller, 64)).split()[1])


async def until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def bounded(services: Services, **changes: Any) -> Services:
    settings = structs.replace(services.settings, requests=RequestSettings(**changes))
    return structs.replace(services, settings=settings)


async def large_run(store: Store, run: str, *, tasks: int = 200) -> None:
    """Writes to the store that shard 0 of a run has returned outputs of 12 MB."""
    shard = (await store.shards(run))[0]
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    rows = tuple(
        structs.replace(row, task=f"t{number}")
        for row in [
            TaskRow(
                run=run,
                shard=0,
                task="",
                phase=TaskPhase.SUCCEEDED,
                epoch=1,
                region="beijing",
                incarnation="i",
                tries=1,
                started_at=1.0,
                output=OUTPUT,
            )
        ]
        for number in range(tasks)
    )
    await store.record([ShardWrite(shard=placed.with_rev(shard.rev + 1), tasks=rows)], {})


async def test_answers_that_nobody_reads_are_bounded(services: Services, store: Store, run: str) -> None:
    """Forty callers of one tenant would hold half a gigabyte; others are answered, and all is given back."""
    await large_run(store, run)
    narrow = bounded(services, unread_bytes_per_tenant=20_000_000, unread_bytes_maximum=100_000_000)
    path = f"/v1/runs/{run}?outputs=true"
    async with Server(api(narrow), host=HOST, port=0) as server, httpx.AsyncClient(timeout=30) as other:
        callers = [await unread(server, path) for _ in range(40)]
        statuses = sorted([await status_of(caller) for caller in callers])
        held = narrow.unread._bytes.total()
        refused = await other.get(
            f"http://{HOST}:{server.port}{path}", headers={"authorization": "Bearer payments.bob"}
        )
        listed = await other.get(
            f"http://{HOST}:{server.port}/v1/runs", headers={"authorization": "Bearer science.eve"}
        )
        for caller in callers:
            caller.close()
        await until(lambda: not narrow.unread._bytes)
        again = await other.get(
            f"http://{HOST}:{server.port}{path}", headers={"authorization": "Bearer payments.ada"}
        )

    assert statuses[0] == 200 and set(statuses[3:]) <= {429, 503}
    assert held < 33_000_000
    assert (refused.status_code, listed.status_code) == (429, 200)
    assert int(refused.headers["retry-after"]) >= 1
    assert again.json()["tasks"][7]["output"] == OUTPUT


async def test_followers_of_one_tenant_leave_reads_and_others_alone(
    services: Services, store: Store, run: str
) -> None:
    """All that it follows beyond its share of a region is refused; reads need no connection of a follower."""
    await started(store, run, "beijing", 1)
    region = CrowdedRegion(text="x")
    crowded = structs.replace(services, clusters={"beijing": region})
    path = f"/v1/runs/{run}/logs?task=a"
    async with Server(api(crowded), host=HOST, port=0) as server, httpx.AsyncClient() as other:
        callers = [await unread(server, f"{path}&follow=true") for _ in range(60)]
        statuses = sorted([await status_of(caller) for caller in callers])
        following = region.following
        read = await other.get(
            f"http://{HOST}:{server.port}{path}", headers={"authorization": "Bearer payments.ada"}
        )
        for caller in callers:
            caller.close()
        await until(lambda: region.following == 0)

    most = FOLLOWERS.streams_per_tenant
    assert statuses == [200] * most + [429] * (60 - most)
    assert (following, read.text) == (most, "x")


async def test_reads_that_nobody_takes_hold_no_connection_to_the_region(
    services: Services, store: Store, run: str
) -> None:
    """Sixteen of them would have been all that there are."""
    await started(store, run, "beijing", 1)
    region = CrowdedRegion(text="y" * 16_000_000)
    crowded = structs.replace(services, clusters={"beijing": region})
    path = f"/v1/runs/{run}/logs?task=a"
    async with Server(api(crowded), host=HOST, port=0) as server, httpx.AsyncClient(timeout=30) as other:
        callers = [await unread(server, path) for _ in range(32)]
        statuses = {await status_of(caller) for caller in callers}
        await until(lambda: region.reading == 0)
        read = await other.get(
            f"http://{HOST}:{server.port}{path}&offset=15999990",
            headers={"authorization": "Bearer payments.ada"},
        )
        whole = await other.get(
            f"http://{HOST}:{server.port}{path}", headers={"authorization": "Bearer payments.ada"}
        )
        for caller in callers:
            caller.close()

    assert statuses == {200}
    assert (read.text, len(whole.text)) == ("y" * 10, 16_000_000)


async def test_a_region_that_sends_a_log_in_tiny_pieces_fills_no_memory(
    services: Services, store: Store, run: str
) -> None:
    """A window is bounded by its pieces, too, each of which takes more memory than its text."""
    await started(store, run, "beijing", 1)
    region = CrowdedRegion(text="y" * 3_000, piece=1)
    crowded = structs.replace(services, clusters={"beijing": region})
    async with Server(api(crowded), host=HOST, port=0) as server, httpx.AsyncClient(timeout=30) as other:
        whole = await other.get(
            f"http://{HOST}:{server.port}/v1/runs/{run}/logs?task=a",
            headers={"authorization": "Bearer payments.ada"},
        )

    assert whole.text == "y" * 3_000
    assert region.reads == [reading.WINDOW_CHUNKS, reading.WINDOW_CHUNKS, 3_000 - 2 * reading.WINDOW_CHUNKS]


class ShortTokens(Door):
    """A fake authenticator whose tokens expire in a moment."""

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self._clock = clock

    async def authenticate(self, credentials: Any) -> Any:
        return structs.replace(await super().authenticate(credentials), expires_at=self._clock() + 0.1)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    """Shortens the waits at the beginning and at the end of a stream."""
    monkeypatch.setattr(task_log, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(call, "STREAM_SECONDS_MINIMUM", 0.1)
    if not reads:
        monkeypatch.setattr(responses, "END_SECONDS", 0.1)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("text", ["", "x", "z" * 30_000_000], ids=["silent", "quiet", "flood"])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_followed_log_ends_with_its_token(
    services: Services, store: Store, run: str, text: str, reads: bool
) -> None:
    """Read or not, and whether anything was written or not; its place and its connection are free again."""
    await started(store, run, "beijing", 1)
    region = CrowdedRegion(text=text)
    short = structs.replace(services, clusters={"beijing": region}, authenticator=ShortTokens(services.clock))
    path = f"/v1/runs/{run}/logs?task=a&follow=true"
    async with Server(api(short), host=HOST, port=0) as server, asyncio.timeout(20):
        caller = await unread(server, path)
        await until(lambda: region.following)
        received = b""
        while reads and not received.endswith(b"0\r\n\r\n"):
            piece = await asyncio.get_running_loop().sock_recv(caller, 1 << 20)
            assert piece
            received = (received + piece)[-100:]
        await until(lambda: region.following == 0 and not short.streams._open and not short.followers._open)
        await until(lambda: not any(c.cycle.response_complete is False for c in connections(server)))
        caller.close()


def connections(server: Server) -> Any:
    return server._server.server_state.connections


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("reads", [True, False])
async def test_an_event_stream_ends_with_its_token(
    services: Services, store: Store, run: str, reads: bool
) -> None:
    """One that was not read kept its place, and went on with events long after its token's end."""
    shard = (await store.shards(run))[0]
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    entries = tuple(
        structs.replace(history_entry(HistoryKind.EXPIRED, run=run, shard=0, at=2.0), actor="a" * 2_000)
        for _ in range(5_000)
    )
    await store.record([ShardWrite(shard=placed.with_rev(shard.rev + 1), history=entries)], {})
    short = structs.replace(services, authenticator=ShortTokens(services.clock))
    async with Server(api(short), host=HOST, port=0) as server, asyncio.timeout(20):
        caller = await unread(server, f"/v1/runs/{run}/events")
        await until(lambda: short.streams._open)
        received = b""
        while reads and not received.endswith(b"0\r\n\r\n"):
            piece = await asyncio.get_running_loop().sock_recv(caller, 1 << 20)
            assert piece
            received = (received + piece)[-100:]
        await until(lambda: not short.streams._open)
        await until(lambda: not any(c.cycle.response_complete is False for c in connections(server)))
        caller.close()
