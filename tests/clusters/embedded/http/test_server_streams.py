"""Tests the streams of a cluster's HTTP server: how they begin, show that they are alive, and end."""

import asyncio
import ssl

import httpx
import pytest

from clusters.embedded.http import server as server_module
from clusters.errors import ClusterError
from clusters.protocol import Beat, LogChunk
from tests.clusters.embedded.http.served_cluster import gateway_client, serving
from tests.clusters.embedded.scripted_cluster import HELLO, STATUS, ScriptedCluster


async def test_a_quiet_log_shows_life(
    cluster: ScriptedCluster, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may write nothing for hours; its followers must know that from a dead cluster."""
    monkeypatch.setattr(server_module, "QUIET_SECONDS", 0.02)
    cluster.chunks = [LogChunk(text="a", offset=1)]
    async with client.stream("GET", "/v1/logs?run=r&shard=0&epoch=1&task=t&follow=true") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b'{"text":"a","offset":1}\n'
        assert await anext(pieces) == b"\n"


async def test_a_stream_that_cannot_begin_has_a_status(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """An error before the first line is not an empty answer with 200."""
    cluster.failure = ClusterError("NotFound", "no log", retryable=False)

    assert (await client.get("/v1/logs?run=r&shard=0&epoch=1&task=t")).status_code == 404


async def test_a_stream_that_breaks_does_not_look_finished(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """What came before the error still arrives, and then the connection breaks."""
    cluster.events, cluster.failure = [HELLO], ClusterError("Unavailable", "no journal")
    async with client.stream("GET", "/v1/watch") as answer:
        pieces = answer.aiter_raw()
        assert (await anext(pieces)).startswith(b'{"type":"hello"')
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)


async def test_events_that_are_there_go_out_together(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """A thousand events are not a thousand packets, and none is held back."""
    cluster.events = [HELLO, *(Beat(status=STATUS) for _ in range(2_500))]
    received = 0
    async with client.stream("GET", "/v1/watch?cursor=7&incarnation=journal") as answer:
        async for piece in answer.aiter_raw():
            received += piece.count(b"\n")
            if received == 2_501:
                break

    assert cluster.asked == [(7, "journal")]


async def test_a_lost_connection_ends_the_stream_of_the_cluster(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Otherwise each lost connection would leave a stream open."""
    cluster.events = [HELLO]
    async with client.stream("GET", "/v1/watch") as answer:
        await anext(answer.aiter_raw())
        assert cluster.open_streams == 1
    async with asyncio.timeout(3):
        while True:
            await asyncio.sleep(0.001)
            if cluster.open_streams == 0:
                break


async def test_a_stream_ends_cleanly_when_the_server_stops(
    cluster: ScriptedCluster, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """At once, so that the gateway need not wait for a silence; and calls under way are answered."""
    cluster.events = [HELLO]
    cluster.answering.clear()
    async with (
        asyncio.timeout(5),
        serving(cluster, server_tls, grace_seconds=60) as server,
        gateway_client(server, client_tls) as client,
    ):
        request = client.build_request("GET", "/v1/watch")
        answer = await client.send(request, stream=True)
        assert answer.headers["connection"] == "close"  # else a pooled connection would be waited for
        pieces = answer.aiter_raw()
        await anext(pieces)
        applying = asyncio.create_task(client.post("/v1/apply", content=b"{}"))
        while not cluster.applied:  # its arrival is what is waited for
            await asyncio.sleep(0.001)
        stopping = asyncio.create_task(server.__aexit__())
        assert [piece async for piece in pieces] == []
        cluster.answering.set()
        assert (await applying).status_code == 200
        await stopping
