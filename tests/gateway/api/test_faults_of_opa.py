"""What a caller gets while the OPA that decides answers badly, late, elsewhere or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.gateway.api.description import described
from tests.gateway.policy.opa.faulty_opa import (
    PROVENANCE,
    REFUSAL,
    RESULT,
    Answer,
    FaultyOpa,
    body_of,
    faulty_opa,
    never,
    response,
    sending,
    sending_last,
)

DEADLINE_SECONDS = 0.1


async def five_seconds_late(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)
    writer.write(response(body_of()))


async def two_hundred_megabytes(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n{"result":"')
    while True:
        writer.write(b"x" * 1_000_000)
        await writer.drain()


FAULTS: dict[str, Answer] = {
    "no answer": never,
    "five seconds late": five_seconds_late,
    "killed": sending_last(b""),
    "garbage": sending_last(b"\x00\xff garbage"),
    "garbage in HTTP": sending(response(b"\x00\xff garbage")),
    "NaN": sending(response(body_of({**RESULT, "obligations": {"max_shards": "?"}}).replace(b'"?"', b"NaN"))),
    "a doubled name": sending(response(body_of().replace(b'"allow":true', b'"allow":false,"allow":true'))),
    "200 MB": two_hundred_megabytes,
    "a redirect": sending(response(body_of(), status="307 Temporary", headers=("Location: /allowed",))),
    "undefined": sending(response(body_of().replace(b',"result":', b',"other":'))),
    "null": sending(response(body_of(None))),
    "true alone": sending(response(body_of(True))),
    "the word true": sending(response(body_of({**RESULT, "allow": "true"}))),
    "no bundle": sending(response(body_of(provenance={**PROVENANCE, "bundles": {}}))),
    "an error": sending(response(b'{"code":"internal_error"}', status="500 Internal Server Error")),
}


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[FaultyOpa]:
    async with faulty_opa(tmp_path) as opa:
        yield opa


@pytest.fixture
async def client(services: Services, opa: FaultyOpa) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of a gateway that asks `opa`."""
    async with OpaPolicyEngine(opa.address, deadline_seconds=DEADLINE_SECONDS) as engine:
        app = api(structs.replace(services, policy=engine))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=True),
            base_url="http://gateway",
            headers={"authorization": "Bearer payments.ada"},
            event_hooks={"response": [described]},
        ) as client:
            yield client


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_clear_answer_is_a_503(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any], fault: str
) -> None:
    """Nothing is accepted, the caller may try again, and learns nothing of what OPA said."""
    opa.answer = FAULTS[fault]
    answer = await client.post("/v1/runs", json=document)
    problem = answer.json()
    assert (answer.status_code, problem["reason"], problem["retryable"]) == (503, "Unavailable", True)
    assert problem["detail"] == "policy could not answer" and problem["decision_id"]
    opa.answer = sending(response(body_of()))
    assert (await client.get("/v1/runs")).json()["items"] == []


async def test_a_refusal_is_a_403_with_its_reasons(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any]
) -> None:
    """The rules have answered: trying again is no use."""
    opa.answer = sending(response(body_of(REFUSAL)))
    answer = await client.post("/v1/runs", json=document)
    assert (answer.status_code, answer.json()["reason"], answer.json()["detail"]) == (403, "Denied", "no")


async def test_a_permission_is_an_acceptance(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any]
) -> None:
    """Only so are the others worth anything."""
    opa.answer = sending(response(body_of()))
    assert (await client.post("/v1/runs", json=document)).status_code == 202
