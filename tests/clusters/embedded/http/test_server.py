"""A cluster's HTTP server: what it takes, what it refuses, and how its streams end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from clusters.embedded.http import server as wire
from clusters.embedded.http.server import application
from clusters.errors import STATUS as STATUSES
from clusters.errors import ClusterError
from clusters.protocol import AttemptId, Batch, Beat, LogChunk
from tests.clusters.embedded.scripted_cluster import HELLO, STATUS, ScriptedCluster
from waypost import pki, tls
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("pki")
    pki.create_root(folder)
    return tls.server_context(pki.issue_cluster(folder, "beijing")), tls.client_context(
        pki.issue_gateway(folder)
    )


@pytest.fixture
def cluster() -> ScriptedCluster:
    return ScriptedCluster()


@asynccontextmanager
async def asked(
    cluster: ScriptedCluster, contexts: tuple[ssl.SSLContext, ssl.SSLContext], *, grace_seconds: int = 5
) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """The server, and a client that shows the gateway's certificate."""
    extensions = {"sni_hostname": tls.cluster_name("beijing")}

    async def pin(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, **extensions}

    app = application(cluster, body_bytes=10_000)
    async with Server(
        app, host=HOST, port=0, tls=contexts[0], limits=ConnectionLimits(grace_seconds=grace_seconds)
    ) as server:
        address = f"https://{HOST}:{server.port}"
        async with httpx.AsyncClient(
            base_url=address, verify=contexts[1], event_hooks={"request": [pin]}
        ) as client:
            yield server, client


@pytest.fixture
async def client(
    cluster: ScriptedCluster, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[httpx.AsyncClient]:
    async with asked(cluster, contexts) as (_, client):
        yield client


async def test_a_batch_reaches_the_cluster_as_it_was(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """And the answers come back."""
    batch = Batch(tombstones=(AttemptId(run="run", shard=3, epoch=1 << 33),), acknowledged=7)
    answer = await client.post("/v1/apply", content=msgspec.json.encode(batch))

    assert cluster.applied == [batch]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["status"]["incarnation"] == "journal"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"creates": [{"attempt": {"run": "r", "shard": "0", "epoch": 1}}]}', "/creates/0/attempt/shard"),
        (
            b'{"runs": [{"run": "r", "tasks": [{"name": "a", "type": "delay", "run": {}, "surprise": 1}]}]}',
            "/runs/0/tasks/0",
        ),
        (
            b'{"creates": [{"attempt": {"run": "r", "shard": 0, "epoch": 1}, "fence": {"boot": "b"}}]}',
            "/creates/0/fence",
        ),
        (
            b'{"runs": [{"run": "r", "tasks": [{"name": "a", "type": "process", "run": {}, "source": 1}]}]}',
            "/runs/0/tasks/0/source",
        ),
        (b'{"tombstones": [{"run": "r", "shard": 0, "epoch": 9223372036854775808}]}', "/tombstones/0/epoch"),
        (b'{"tombstones": [{"run": "r", "shard": -1, "epoch": 1}]}', "/tombstones/0/shard"),
        (b'{"acknowledged": 9223372036854775808}', "/acknowledged"),
        (b"[]", ""),
        (b"{", ""),
        (b"\xff", ""),
    ],
)
async def test_a_malformed_batch_is_answered_with_where_it_is_wrong(
    body: bytes, pointer: str, cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Versions differ one day; and no part of such a batch is taken."""
    answer = await client.post("/v1/apply", content=body)

    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "$" not in answer.json()["detail"]
    assert cluster.applied == []


async def test_a_body_over_the_limit_is_refused(cluster: ScriptedCluster, client: httpx.AsyncClient) -> None:
    """With or without its length told before."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1_000

    answers = [await client.post("/v1/apply", content=content) for content in (b" " * 10_001, pieces())]

    assert [(answer.status_code, answer.json()["reason"]) for answer in answers] == [(413, "TooLarge")] * 2
    assert cluster.applied == []


@pytest.mark.parametrize("reason", sorted(STATUSES))
async def test_an_error_of_the_cluster_keeps_its_reason(
    reason: str, cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """As a problem with a status that fits."""
    cluster.failure = ClusterError(reason, "because", retryable=False)
    answer = await client.post("/v1/apply", content=b"{}")

    assert answer.status_code == STATUSES[reason]
    assert (answer.json()["reason"], answer.json()["detail"], answer.json()["retryable"]) == (
        reason,
        "because",
        False,
    )


async def test_a_fault_of_ours_shows_nothing_of_itself(
    cluster: ScriptedCluster, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the trace, the answer has none."""

    async def broken(_: Batch) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(cluster, "apply", broken)
    answer = await client.post("/v1/apply", content=b"{}")

    assert (answer.status_code, answer.json()["reason"]) == (500, "Internal")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "run=../../etc&shard=0&epoch=1&task=a",
        "run=..&shard=0&epoch=1&task=a",
        "run=r&shard=0&epoch=1&task=a/b",
        "run=r&shard=-1&epoch=1&task=a",
        "run=r&shard=x&epoch=1&task=a",
        "run=r&shard=0&epoch=1&task=a&offset=-1",
        "run=r&shard=0&epoch=1&task=a&follow=perhaps",
        "run=r&shard=0&epoch=1&task=a&surprise=1",
        "run=r",
    ],
)
async def test_a_strange_question_for_logs_is_refused(
    query: str, cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Names lead to files: none may lead out of the cluster's folder."""
    answer = await client.get(f"/v1/logs?{query}")

    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert cluster.asked == []


async def test_logs_are_asked_for_as_they_were(cluster: ScriptedCluster, client: httpx.AsyncClient) -> None:
    """Each word of the question arrives."""
    cluster.chunks, cluster.ends = [LogChunk(text="a\u2028b", offset=5)], True
    answer = await client.get(
        "/v1/logs", params={"run": "r", "shard": 2, "epoch": 3, "task": "t", "offset": 4, "follow": "true"}
    )

    assert cluster.asked == [(AttemptId(run="r", shard=2, epoch=3), "t", 4, True)]
    assert msgspec.json.decode(answer.content) == {"text": "a\u2028b", "offset": 5}


async def test_a_quiet_log_shows_life(
    cluster: ScriptedCluster, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may say nothing for hours; its followers must tell that from a dead cluster."""
    monkeypatch.setattr(wire, "QUIET_SECONDS", 0.02)
    cluster.chunks = [LogChunk(text="a", offset=1)]
    async with client.stream("GET", "/v1/logs?run=r&shard=0&epoch=1&task=t&follow=true") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b'{"text":"a","offset":1}\n'
        assert await anext(pieces) == b"\n"


async def test_a_stream_that_cannot_begin_has_a_status(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Not an empty answer with 200."""
    cluster.failure = ClusterError("NotFound", "no log", retryable=False)

    assert (await client.get("/v1/logs?run=r&shard=0&epoch=1&task=t")).status_code == 404


async def test_a_stream_that_breaks_does_not_look_finished(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """What came before the error still arrives."""
    cluster.events, cluster.failure = [HELLO], ClusterError("Unavailable", "no journal")
    async with client.stream("GET", "/v1/watch") as answer:
        pieces = answer.aiter_raw()
        assert (await anext(pieces)).startswith(b'{"type":"hello"')
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)


async def test_events_that_are_there_go_out_together(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """A thousand events do not cost a thousand packets, and none is held back."""
    cluster.events = [HELLO, *(Beat(status=STATUS) for _ in range(2_500))]
    received = 0
    async with client.stream("GET", "/v1/watch?cursor=7&incarnation=journal") as answer:
        async for piece in answer.aiter_raw():
            received += piece.count(b"\n")
            if received == 2_501:
                break

    assert cluster.asked == [(7, "journal")]


async def test_the_cluster_learns_that_its_watcher_is_gone(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Else each lost connection would leave a stream behind."""
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
    cluster: ScriptedCluster, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """At once, so that the gateway need not wait for a silence; and calls under way are answered."""
    cluster.events = [HELLO]
    cluster.answering.clear()
    async with asyncio.timeout(5), asked(cluster, contexts, grace_seconds=60) as (server, client):
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


async def test_what_is_not_there_is_a_problem_too(client: httpx.AsyncClient) -> None:
    """One form for every refusal."""
    answers = [await client.get("/v2"), await client.get("/v1/apply")]

    assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [
        (404, "application/problem+json"),
        (405, "application/problem+json"),
    ]


async def test_a_stranger_gets_no_further_than_livez(cluster: ScriptedCluster) -> None:
    """Even where TLS would let anybody in: admission does not rest on one lock."""
    async with (
        Server(application(cluster), host=HOST, port=0) as server,
        httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}") as stranger,
    ):
        calls = [
            ("GET", "/v1/attempts"),
            ("POST", "/v1/apply"),
            ("GET", "/v1/watch"),
            ("GET", "/v1/logs"),
            ("GET", "/"),
        ]
        statuses = [(await stranger.request(method, path)).status_code for method, path in calls]
        alive = await stranger.get("/livez")

    assert statuses == [403] * 5
    assert alive.status_code == 200
