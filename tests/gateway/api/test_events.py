"""Tests the event stream of a run: past entries and new ones as they happen."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.events import _stream
from gateway.api.http.call import STREAM_SECONDS_MINIMUM, Call
from gateway.api.http.query import Query
from gateway.api.http.services import Services
from gateway.core.history import HistoryKind
from gateway.core.principal import Principal
from gateway.core.shard_states import Event, advance
from gateway.store.interface import ShardWrite, Store
from observability.spans.call_trace import CallTrace
from tests.gateway.core.history_entries import history_entry
from waypost.tracing.context import TraceContext

Document = dict[str, Any]


async def submitted(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


async def end(store: Store, run_id: str) -> None:
    for shard in await store.shards(run_id):
        over = advance(advance(shard, Event.EXPIRED), Event.EXPIRY_ENFORCED, reason="DeadlineExceeded")
        entry = history_entry(HistoryKind.EXPIRED, run=run_id, shard=shard.index, at=2.0)
        await store.record([ShardWrite(shard=over.with_rev(shard.rev + 1), history=(entry,))], {})


def parsed(text: str) -> list[tuple[int, str]]:
    """Returns (id, event) of each block of a server-sent event stream that is no comment."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in text.split("\n\n")
        if block and block[0] != ":"
    ]
    return [(int(block["id"]), block["event"]) for block in blocks]


async def test_a_stream_has_every_entry_and_ends_with_the_run(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """Its last event is that of the run's end: a client that has seen it need not ask again."""
    run = await submitted(client, document)
    await end(store, run)
    answer = await client.get(f"/v1/runs/{run}/events")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert parsed(answer.text)[0][1] == "Accepted"
    assert [kind for _, kind in parsed(answer.text)].count("Expired") == 2


async def test_a_stream_goes_on_where_it_broke_off(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """Each event comes once, over however many connections."""
    run = await submitted(client, document)
    await end(store, run)
    whole = parsed((await client.get(f"/v1/runs/{run}/events")).text)
    rest = parsed(
        (await client.get(f"/v1/runs/{run}/events", headers={"last-event-id": str(whole[1][0])})).text
    )

    assert rest == whole[2:]


async def test_a_stream_with_nothing_more_to_come_is_a_204(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """An EventSource comes back for ever, unless it is answered with 204."""
    run = await submitted(client, document)
    await end(store, run)
    last = parsed((await client.get(f"/v1/runs/{run}/events")).text)[-1][0]

    assert (
        await client.get(f"/v1/runs/{run}/events", headers={"last-event-id": str(last)})
    ).status_code == 204


@pytest.mark.parametrize("seen", ["-1", "x", "9" * 30])
async def test_an_event_id_is_a_number(client: httpx.AsyncClient, document: Document, seen: str) -> None:
    """Anything else was never given."""
    run = await submitted(client, document)

    assert (await client.get(f"/v1/runs/{run}/events", headers={"last-event-id": seen})).status_code == 400


def call(services: Services, *, expires_at: float, closing: asyncio.Event) -> Call:
    principal = Principal(subject="ada", issuer="i", tenant="payments", expires_at=expires_at)
    scope = {"type": "http", "headers": [], "state": {"closing": closing}}
    return Call(
        services=services,
        scope=scope,
        receive=_never,
        principal=principal,
        trace=CallTrace(TraceContext(trace_id="", span_id="")),
        at=0.0,
        query=Query(),
    )


async def _never() -> Any:
    await asyncio.Event().wait()


async def test_a_waiting_stream_hears_of_a_change_at_once(
    services: Services, client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """It is woken by the commit, not by a clock."""
    run = await store.run(await submitted(client, document))
    assert run is not None
    stream = _stream(call(services, expires_at=2e9, closing=asyncio.Event()), run.id, 0)
    assert b"event: Accepted" in await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await end(store, run.id)

    assert b"event: Expired" in await asyncio.wait_for(waiting, 5)
    await stream.aclose()


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_stream_lasts_as_long_as_its_token_had_left(
    services: Services, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """By the wall clock that the token was accepted by, which may have been set since the start;
    a step after that makes the stream neither shorter nor longer."""
    now = services.clock() + step
    set_since = structs.replace(services, wall_clock=lambda: now)
    begun = call(set_since, expires_at=now + 60.0, closing=asyncio.Event())
    assert begun.seconds_left == pytest.approx(60.0, abs=1.0)
    now += step
    assert begun.seconds_left == pytest.approx(60.0, abs=1.0)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 70.0)
    assert begun.seconds_left == STREAM_SECONDS_MINIMUM
    assert await asyncio.wait_for(begun.wait_for_change(asyncio.Event()), 5) is False


@pytest.mark.parametrize("end_of", ["token", "server"])
async def test_a_stream_does_not_outlive_its_reason(
    services: Services, client: httpx.AsyncClient, store: Store, document: Document, end_of: str
) -> None:
    """The client connects again, with a fresh token or to another server."""
    run = await store.run(await submitted(client, document))
    assert run is not None
    closing = asyncio.Event()
    stream = _stream(call(services, expires_at=0.0 if end_of == "token" else 2e9, closing=closing), run.id, 0)
    await anext(stream)
    if end_of == "server":
        closing.set()

    assert await asyncio.wait_for(anext(stream, None), 5) is None


async def test_explain_tells_who_by_which_rules_and_what_then(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """The acceptance names its subject, decision, policy revision and rules; what followed comes in order."""
    run = await submitted(client, document)
    await end(store, run)
    story = (await client.get(f"/v1/runs/{run}/explain")).json()

    accepted = story["history"][0]
    assert (accepted["kind"], accepted["actor"], accepted["detail"]["revision"]) == (
        "Accepted",
        "ada",
        "rules-1",
    )
    assert [decision["id"] for decision in story["decisions"]] == [accepted["detail"]["decision_id"]]
    assert story["decisions"][0]["obligations"]["regions"] == ["beijing", "shanghai"]
    assert [entry["seq"] for entry in story["history"]] == sorted(entry["seq"] for entry in story["history"])
    assert story["complete"] is True
