"""Tests the answers to a tenant that exceeds its limits, and what is never refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from gateway.api.http.rate_limits import RateLimiter
from gateway.api.http.services import Services, request_turns
from gateway.core.decision import Obligations
from gateway.settings import GatewaySettings, RequestSettings, TenantSettings
from gateway.store.interface import Store
from tests.gateway.api.callers import caller
from waypost.turns import Turns

RETRY = range(1, 9)


def settings(**limits: Any) -> GatewaySettings:
    return GatewaySettings(tenants=TenantSettings(**limits))


async def test_a_tenant_has_so_many_runs_open_at_once(services: Services, document: Any) -> None:
    """More is a 429 that says when to come back; cancelling makes room, other tenants have their own."""
    async with caller(services, settings=settings(open_runs=2)) as client:
        runs = [(await client.post("/v1/runs", json=document)).json()["id"] for _ in range(2)]
        refused = await client.post("/v1/runs", json=document)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyRequests")
        assert refused.json()["retryable"] is True
        assert int(refused.headers["retry-after"]) in RETRY
        assert "2 runs open" in refused.json()["detail"]
        planned = await client.post("/v1/runs", params={"dryRun": "true"}, json=document)
        assert planned.status_code == 200, "a dry run opens nothing"
        async with caller(services, "research.bob", settings=settings(open_runs=2)) as other:
            assert (await other.post("/v1/runs", json=document)).status_code == 202
        assert (await client.post(f"/v1/runs/{runs[0]}/cancel")).status_code == 202


async def test_policy_sets_the_limits_of_a_tenant(services: Services, rules: Any, document: Any) -> None:
    """Above or below those of the settings."""
    rules.obligations = Obligations(regions=("beijing",), max_open_shards=3, requests_per_second=0.4)
    async with caller(services) as client:
        accepted = await client.post("/v1/runs", json=document)
        refused = await client.post("/v1/runs", json=document)
        assert (accepted.status_code, refused.status_code) == (202, 429)
        assert "2 shards open" in refused.json()["detail"]
        answers = [await client.get("/v1/runs") for _ in range(9)]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert answers[-1].headers["retry-after"]


async def test_a_cancellation_is_never_refused(services: Services, document: Any) -> None:
    """Whoever has too much under way must be able to end it, whatever the rate and however long it waits."""
    async with caller(services) as client:
        run = (await client.post("/v1/runs", json=document)).json()["id"]
    limiter, turns = RateLimiter(0.1, lambda: 0.0), Turns(1, share=1)
    hurried = settings(request_wait_seconds=0.001)
    async with caller(services, settings=hurried, rates=limiter, turns=turns) as client:
        while limiter.take("payments") == 0:
            pass
        assert (await client.get(f"/v1/runs/{run}")).status_code == 429
        async with turns.turn("research"):
            cancelling = asyncio.create_task(client.post(f"/v1/runs/{run}/cancel"))
            while "payments" not in repr(turns):
                await asyncio.sleep(0)
            async with caller(services, "research.bob", settings=hurried, turns=turns) as other:
                late = await other.get("/v1/runs")
        assert (late.status_code, late.json()["reason"]) == (503, "Unavailable")
        assert late.headers["retry-after"]
        assert (await cancelling).status_code == 202


async def test_a_tenant_has_one_request_handled_at_once_while_others_ask() -> None:
    """A flood has the machine to itself else: requests of others come to their turn, and then wait for it."""
    turns = request_turns(GatewaySettings().tenants.requests_at_once)
    assert all(turns.take("loud") for _ in range(30)), "alone it has what it asks for"
    for _ in range(30):
        turns.leave("loud")
    assert turns.take("quiet")
    assert [turns.take("loud") for _ in range(3)] == [True, False, False]
    turns.leave("loud")
    async with turns.turn("loud"):
        assert not turns.take("loud")
    assert not turns.take("loud"), "it rests, and leaves the machine to others for as long"


async def test_a_tenant_that_asks_rarely_finds_a_free_place_at_once() -> None:
    """Else it waits for one of 64 requests in hand: with lists of a second nine of ten calls got a 503."""
    turns = request_turns(GatewaySettings().tenants.requests_at_once)
    while turns.take("loud"):
        pass
    assert turns.take("quiet")


async def test_a_document_on_its_way_holds_no_place(services: Services, document: Any) -> None:
    """Clients that send slowly would else keep all others out."""
    arrive, turns = asyncio.Event(), Turns(1, share=1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await arrive.wait()

    async with caller(services, turns=turns) as client:
        slow = asyncio.create_task(
            client.post("/v1/runs", content=slowly(), headers={"content-type": "application/json"})
        )
        await asyncio.sleep(0)
        assert (await client.post("/v1/runs", json=document)).status_code == 202
        arrive.set()
        assert (await slow).status_code == 400


async def test_large_documents_are_read_in_turn(services: Services, document: Any) -> None:
    """While one tenant's documents wait to be read, a small one is not held up, nor another tenant's."""
    large = document | {"spec": document["spec"] | {"params": {"x": "y" * 20_000}}}
    documents = Turns(2, share=1)
    async with (
        documents.turn("payments"),
        caller(services, large_documents=documents, settings=settings(request_wait_seconds=0.001)) as client,
        caller(services, "research.bob", large_documents=documents) as other,
    ):
        assert (await other.post("/v1/runs", json=large)).status_code == 202
        assert (await client.post("/v1/runs", json=large)).status_code == 503, "its share is in use"
        assert (await client.post("/v1/runs", json=document)).status_code == 202


async def test_bodies_that_arrive_are_bounded(services: Services, document: Any) -> None:
    """A tenant that begins thousands and ends none would else fill the memory; others have their own room."""
    arrive = asyncio.Event()
    limits = GatewaySettings(
        requests=RequestSettings(unfinished_bytes_per_tenant=25_000, unfinished_bytes_maximum=45_000)
    )
    headers = {"content-type": "application/json"}

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{" + b" " * 9_999
        await arrive.wait()
        yield b"}"

    async def begin(client: Any, count: int) -> list[asyncio.Task[Any]]:
        calls = [
            asyncio.create_task(client.post("/v1/runs", content=slowly(), headers=headers))
            for _ in range(count)
        ]
        while services.unfinished.size(calls_of) < 10_000 * count:
            await asyncio.sleep(0)
        return calls

    async with (
        caller(services, settings=limits) as client,
        caller(services, "research.bob", settings=limits) as other,
        caller(services, "third.eve", settings=limits) as third,
    ):
        calls_of = "payments"
        waiting = await begin(client, 2)
        more = await client.post("/v1/runs", content=slowly(), headers=headers)
        assert (more.status_code, more.json()["reason"]) == (429, "TooManyRequests")
        calls_of = "research"
        waiting += await begin(other, 2)
        assert (await third.post("/v1/runs", content=slowly(), headers=headers)).status_code == 503
        assert (await third.post("/v1/runs", json=document)).status_code == 202, "it arrives at once"
        arrive.set()
        assert {(await call).status_code for call in waiting} == {422}
        assert (await client.post("/v1/runs", content=slowly(), headers=headers)).status_code == 422


async def test_what_a_name_stands_for_is_read_in_the_tenants_turn(
    services: Services, store: Store, document: Any
) -> None:
    """A flood of submissions by name would else read the store before anybody's turn, one read each."""
    reads: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            if name == "released_workflow":
                reads.append(name)
            return getattr(store, name)

    turns, asked = Turns(1, share=1), {"workflow": document["metadata"]["name"]}
    noted: Any = Noting()
    async with (
        caller(services, store=noted, turns=turns) as loud,
        caller(services, "research.bob", store=noted, turns=turns) as quiet,
    ):
        for client in (loud, quiet):
            assert (await client.post("/v1/workflows", json=document)).status_code == 201
        reads.clear()
        async with turns.turn("somebody"):
            calls = [asyncio.create_task(loud.post("/v1/runs", json=asked)) for _ in range(9)]
            while "'payments': 9" not in repr(turns):
                await asyncio.sleep(0)
            calls.append(asyncio.create_task(quiet.post("/v1/runs", json=asked)))
            while "'research': 1" not in repr(turns):
                await asyncio.sleep(0)
            assert reads == []
        assert (await calls[-1]).status_code == 202
        assert not all(call.done() for call in calls), "it came last, and waited for its turn alone"
        assert {(await call).status_code for call in calls} == {202}
    assert len(reads) == len(calls)
