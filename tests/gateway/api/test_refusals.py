"""Tests requests that are refused before they are authorized, and the form of the refusals."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.errors import HeadersTooLarge, Unavailable
from gateway.settings import DocumentLimits

Document = dict[str, Any]
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\tkey", "ключ".encode()])
async def test_a_key_is_visible_ascii(
    client: httpx.AsyncClient, document: Document, key: str | bytes
) -> None:
    """Anything else would mean different things to different servers on the way."""
    answer = await client.post(
        "/v1/runs",
        json=document,
        headers=[(b"idempotency-key", key if isinstance(key, bytes) else key.encode())],
    )

    assert answer.status_code == 400


async def test_all_errors_of_a_document_come_at_once(client: httpx.AsyncClient, document: Document) -> None:
    """Each with a JSON pointer, so that one round is enough."""
    document["spec"]["tasks"] = [
        {"name": "a", "type": "delay", "run": {"seconds": -1}, "needs": ["b"]},
        {"name": "c", "type": "teleport", "run": {}},
    ]
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} >= {
        "/spec/tasks/0/needs/0",
        "/spec/tasks/0/run/seconds",
        "/spec/tasks/1/type",
    }


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (400, b'{"apiVersion":', {}),
        (400, b"", {}),
        (415, b"<xml/>", {"content-type": "application/xml"}),
        (415, b"{}", {"content-encoding": "gzip"}),
        (422, b"{}", {}),
        (413, b"x" * 2_000_000, {}),
        (413, b"", {"content-length": "9" * 30}),
    ],
)
async def test_a_body_that_is_none_is_refused(
    client: httpx.AsyncClient, status: int, content: bytes, headers: dict[str, str]
) -> None:
    """By what is wrong with it: its form, its size, its type."""
    answer = await client.post(
        "/v1/runs", content=content, headers={"content-type": "application/json"} | headers
    )

    assert answer.status_code == status
    assert answer.json()["status"] == status


async def test_a_body_without_end_is_cut_off(services: Services, client: httpx.AsyncClient) -> None:
    """The limit holds while reading: what a chunked body claims is not known beforehand."""
    small = structs.replace(
        services, settings=structs.replace(services.settings, documents=DocumentLimits(maximum_bytes=1000))
    )
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b" " * 100

    transport = httpx.ASGITransport(api(small))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=client.headers
    ) as other:
        answer = await other.post("/v1/runs", content=endless())

    assert (answer.status_code, read) == (413, 11)


@pytest.mark.parametrize("query", ["dryrun=true", "dryRun=yes", "dryRun=true&dryRun=true", "a", "%ff=1"])
async def test_a_query_that_is_not_understood_is_refused(
    client: httpx.AsyncClient, document: Document, query: str
) -> None:
    """A misspelt dryRun must not become a real submission."""
    answer = await client.post(f"/v1/runs?{query}", json=document)

    assert answer.status_code == 400


async def test_no_token_is_a_401_that_says_how(client: httpx.AsyncClient, document: Document) -> None:
    """RFC 6750: without a token only the scheme; with a bad one `invalid_token`."""
    del client.headers["authorization"]
    without = await client.post("/v1/runs", json=document)
    bad = await client.post(
        "/v1/runs", json=document, headers={"authorization": "Bearer secret-token-of-mine"}
    )

    assert (without.status_code, without.headers["www-authenticate"]) == (401, 'Bearer realm="waypost"')
    assert (bad.status_code, bad.headers["www-authenticate"]) == (
        401,
        'Bearer realm="waypost", error="invalid_token"',
    )
    assert "secret" not in bad.text


@pytest.mark.parametrize("where", ["/v1/runs?access_token=payments.ada", "/v1/runs"])
async def test_a_token_elsewhere_is_refused(
    client: httpx.AsyncClient, document: Document, where: str
) -> None:
    """In a query or a cookie it would end in logs and histories."""
    answer = await client.post(where, json=document, headers={"cookie": "access_token=payments.ada"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("broken", "status"), [(Unavailable("no key set"), 503), (HeadersTooLarge("a header"), 431)]
)
async def test_what_identity_says_is_passed_on(
    client: httpx.AsyncClient, door: Any, broken: Exception, status: int
) -> None:
    """Each of its refusals has a status of its own."""
    door.broken = broken

    assert (await client.post("/v1/runs", json={})).status_code == status


async def test_a_bug_is_a_500_without_details(client: httpx.AsyncClient, door: Any, caplog: Any) -> None:
    """The caller gets a trace id; what happened is for the log, once."""
    door.broken = RuntimeError("the password is swordfish")
    answer = await client.post("/v1/runs", json={}, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})

    assert (answer.status_code, answer.json()["trace_id"]) == (500, "ab" * 16)
    assert "swordfish" not in answer.text


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yields one event loop for all examples of a property test."""
    with asyncio.Runner() as runner:
        yield runner


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(
    body=st.binary(max_size=200) | values.map(msgspec.json.encode),
    place=st.sampled_from(["", "spec", "task", "run", "shards", "params"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_a_500(client: httpx.AsyncClient, runner: asyncio.Runner, body: bytes, place: str) -> None:
    """Whatever comes in is the sender's matter, never our failure."""
    answer = runner.run(client.post("/v1/runs?dryRun=true", content=_inside(body, place), headers=JSON))

    assert answer.status_code in (200, 400, 413, 422)


def _inside(body: bytes, place: str) -> bytes:
    """Returns an otherwise valid document that contains `body` at `place`."""
    task = b'{"name":"a","type":"delay","run":%s}' % (body if place == "run" else b'{"seconds":1}')
    tasks = b"[%s]" % (body if place == "task" else task)
    extra = b',"%s":%s' % (place.encode(), body) if place in ("shards", "params") else b""
    spec = body if place == "spec" else b'{"tasks":%s%s}' % (tasks, extra)
    return (
        body
        if not place
        else b'{"apiVersion":"waypost/v1","kind":"Workflow","metadata":{"name":"n"},"spec":%s}' % spec
    )
