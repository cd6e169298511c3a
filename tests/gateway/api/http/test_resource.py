"""Tests paths, methods, authentication and traces of every call, and the form of problem documents."""

from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from gateway.api.http.services import Services
from gateway.api.routes import OPERATIONS, api
from gateway.core.principal import Principal
from gateway.identity.interface import RequestCredentials
from gateway.identity.unknown_callers import BURST, RATE, WAIT_SECONDS, UnknownCallers
from tests.gateway.api.callers import caller
from tests.gateway.api.conftest import Door

FIELDS = {"type", "title", "status", "detail", "reason", "retryable", "trace_id"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/runs/", 404),
        ("GET", "/v2/runs", 404),
        ("GET", "/v1/runs/a/b", 404),
        ("DELETE", "/v1/runs", 405),
        ("PUT", "/v1/runs/x", 405),
        ("BREW", "/v1/regions", 405),
        ("POST", "/v1/regions", 405),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """A client needs one way to read a refusal, not two."""
    answer = await client.request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json().keys() >= FIELDS
    assert (status == 405) == ("allow" in answer.headers)


async def test_a_405_lists_the_methods_of_the_path(client: httpx.AsyncClient) -> None:
    """RFC 9110: a 405 lists what would do; HEAD is served wherever GET is."""
    assert (await client.delete("/v1/runs")).headers["allow"] == "GET, HEAD, POST"


async def test_every_call_but_descriptions_asks_for_a_token(client: httpx.AsyncClient) -> None:
    """Deny by default: a path added without thought is closed."""
    del client.headers["authorization"]
    answers = {
        path: (await client.request(method, path)).status_code
        for path, methods in OPERATIONS.items()
        for method in methods
    }

    assert {path for path, status in answers.items() if status != 401} == {
        "/v1/alerts",  # proves who sends by secrets of its own, and is closed (403) while none is set
        "/openapi.json",
        "/v1/schema/workflow.json",
    }
    assert answers["/v1/alerts"] == 403


@pytest.mark.parametrize(
    ("method", "path", "sampled"),
    [
        ("GET", "/v1/runs", "01"),
        ("POST", "/v1/runs", "01"),
        ("GET", "/v1/runs/x", "01"),
        ("GET", "/nowhere", "00"),
    ],
)
async def test_every_answer_names_its_trace(
    client: httpx.AsyncClient, document: dict[str, Any], method: str, path: str, sampled: str
) -> None:
    """Good or bad: the caller's own trace where there is one, under a span of ours.

    It is sampled where the caller's is; of a path that there is not no span is recorded.
    """
    sent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    answer = await client.request(
        method, path, headers={"traceparent": sent}, json=document if method == "POST" else None
    )
    fresh = await client.request(method, path)

    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, len(span_id), flags) == ("00", "ab" * 16, 16, sampled)
    assert span_id != "cd" * 8
    assert fresh.headers["traceparent"].split("-")[1] != trace_id
    assert answer.is_success or answer.json()["trace_id"] == trace_id


async def test_an_encoding_that_is_none_may_be_written_in_any_case(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    """RFC 9110: content codings are case-insensitive."""
    assert (
        await client.post("/v1/runs", json=document, headers={"content-encoding": "Identity"})
    ).status_code == 202


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
async def test_an_unknown_path_names_the_description(client: httpx.AsyncClient, path: str) -> None:
    """It is the first thing that somebody new tries."""
    assert "/openapi.json" in (await client.get(path)).json()["detail"]


async def test_the_workflow_schema_is_served(client: httpx.AsyncClient) -> None:
    """Editors complete documents with it."""
    schema = (await client.get("/v1/schema/workflow.json")).json()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("PUT", "/v1/runs", 405), ("GET", "/openapi.json", 200)]
)
async def test_what_needs_no_token_is_bounded_by_address(
    services: Services, method: str, path: str, status: int
) -> None:
    """Whatever is asked without a token would else be bounded by nothing."""

    async def pass_at_once(_: float) -> None:
        return

    callers = UnknownCallers(clock=lambda: 0.0, sleep=pass_at_once)
    async with caller(services, unknown_callers=callers) as client:
        assert (await client.request(method, path)).status_code == status
        for _ in range(int(BURST + RATE * WAIT_SECONDS) - 1):
            await callers.wait("127.0.0.1")
        refused = await client.request(method, path)
    assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyRequests")
    assert refused.headers["retry-after"]


@pytest.mark.parametrize("path", ["/v1/runs", "/nowhere", "/openapi.json"])
async def test_a_connection_makes_room_until_its_caller_is_known(services: Services, path: str) -> None:
    """Requests without a token may wait for seconds: they must not fill all connections."""
    seen: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await api(services)({**scope, "state": {"set_unproven": seen.append}}, receive, send)

    headers = {"authorization": "Bearer payments.ada"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers
    ) as client:
        await client.get(path)
    assert seen == [True, False]


class CountingDoor(Door):
    """A fake authenticator that records whether each request may be refused under load."""

    def __init__(self) -> None:
        super().__init__()
        self.sheds: list[bool] = []

    async def authenticate(self, credentials: RequestCredentials) -> Principal:
        self.sheds.append(credentials.sheds)
        return await super().authenticate(credentials)


async def test_a_cancellation_is_not_refused_for_the_flood_of_its_address(services: Services) -> None:
    """Its token may be new, and the address that of a proxy before everybody."""
    door = CountingDoor()
    async with caller(services, authenticator=door) as client:
        await client.get("/v1/runs/a")
        await client.post("/v1/runs/a/cancel")
    assert door.sheds == [True, False]
