"""Tests which requests a cluster's HTTP server accepts and which it refuses."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from clusters.embedded.http.server import application
from clusters.errors import STATUS as STATUSES
from clusters.errors import ClusterError
from clusters.protocol import AttemptId, Batch, LogChunk
from tests.clusters.embedded.http.served_cluster import HOST
from tests.clusters.embedded.scripted_cluster import ScriptedCluster
from waypost.serving import Server


async def test_a_batch_reaches_the_cluster_as_it_was(
    cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """The answers of the cluster come back."""
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
    """Versions may differ one day; no part of such a batch is taken."""
    answer = await client.post("/v1/apply", content=body)

    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "$" not in answer.json()["detail"]
    assert cluster.applied == []


async def test_a_body_over_the_limit_is_refused(cluster: ScriptedCluster, client: httpx.AsyncClient) -> None:
    """With a content-length, and as a stream without one."""

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
    """It becomes a problem document with the status of that reason."""
    cluster.failure = ClusterError(reason, "because", retryable=False)
    answer = await client.post("/v1/apply", content=b"{}")

    assert answer.status_code == STATUSES[reason]
    assert (answer.json()["reason"], answer.json()["detail"], answer.json()["retryable"]) == (
        reason,
        "because",
        False,
    )


async def test_an_internal_error_shows_nothing_of_itself(
    cluster: ScriptedCluster, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback is in the log; the answer has nothing of it."""

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
        "run=r&shard=0&epoch=1&task=a[1/b]",
        "run=r&shard=0&epoch=1&task=a[0]b",
        "run=r&shard=0&epoch=1&task=a[0][1]",
        "run=r&shard=0&epoch=1&task=[0]",
        "run=r&shard=-1&epoch=1&task=a",
        "run=r&shard=x&epoch=1&task=a",
        "run=r&shard=0&epoch=1&task=a&offset=-1",
        "run=r&shard=0&epoch=1&task=a&follow=perhaps",
        "run=r&shard=0&epoch=1&task=a&surprise=1",
        "run=r",
    ],
)
async def test_a_malformed_query_for_logs_is_refused(
    query: str, cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Run and task become parts of a path: none may lead out of the cluster's folder."""
    answer = await client.get(f"/v1/logs?{query}")

    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert cluster.asked == []


@pytest.mark.parametrize("task", ["t", "t[0]", "t.u-1[999]"])
async def test_a_query_for_logs_reaches_the_cluster_as_it_was(
    task: str, cluster: ScriptedCluster, client: httpx.AsyncClient
) -> None:
    """Each of its members arrives, of a task or one of its instances, and the chunk comes back."""
    cluster.chunks, cluster.ends = [LogChunk(text="a\u2028b", offset=5)], True
    answer = await client.get(
        "/v1/logs", params={"run": "r", "shard": 2, "epoch": 3, "task": task, "offset": 4, "follow": "true"}
    )

    assert cluster.asked == [(AttemptId(run="r", shard=2, epoch=3), task, 4, True)]
    assert msgspec.json.decode(answer.content) == {"text": "a\u2028b", "offset": 5}


async def test_an_unknown_path_or_method_is_a_problem_document_too(client: httpx.AsyncClient) -> None:
    """Every refusal has the same form."""
    answers = [await client.get("/v2"), await client.get("/v1/apply")]

    assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [
        (404, "application/problem+json"),
        (405, "application/problem+json"),
    ]


async def test_a_client_without_a_certificate_gets_no_further_than_livez(cluster: ScriptedCluster) -> None:
    """Even on a server without TLS: the check of the peer does not depend on the TLS settings."""
    async with (
        Server(application(cluster), host=HOST, port=0) as server,
        httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}") as client,
    ):
        calls = [
            ("GET", "/v1/attempts"),
            ("POST", "/v1/apply"),
            ("GET", "/v1/watch"),
            ("GET", "/v1/logs"),
            ("GET", "/"),
        ]
        statuses = [(await client.request(method, path)).status_code for method, path in calls]
        alive = await client.get("/livez")

    assert statuses == [403] * 5
    assert alive.status_code == 200
