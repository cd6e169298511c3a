"""Tests the delivery of notifications to real receivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_httpserver import HTTPServer

from gateway.core.history import HistoryKind, NotificationDetail
from gateway.core.shard_states import Phase
from gateway.ended_run_settings import NotificationSettings
from gateway.notifications.delivery import AT_ONCE_TO_ONE_HOST, Delivery
from gateway.secret import Secret
from gateway.start_error import StartError
from gateway.store.interface import Store
from gateway.store.sqlite.store import SqliteStore
from observability.metrics import Metrics
from tests.conformance.store_values import NOW, admission, move
from waypost.sqlite_group_commit import Database


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteStore(Database(tmp_path / "gateway.db")) as store:
        yield store


class Clock:
    """The time of a delivery; tests move it."""

    now = NOW + 10

    def __call__(self) -> float:
        return self.now


async def ended(store: Store, name: str, *urls: str) -> None:
    notify = [{"url": url, "on": ["Succeeded", "Failed"]} for url in urls]
    document = msgspec.json.encode({"spec": {"notify": notify}})
    await store.admit(admission(name, workflow=document))
    await move(store, name, Phase.FAILED)


def delivery(
    store: Store, clock: Clock, *egress: str, metrics: Metrics | None = None, **settings: Any
) -> Delivery:
    given = {"egress": egress or ("127.0.0.1:*",), "key": Secret("whsec_c2VjcmV0")} | settings
    return Delivery(NotificationSettings(**given), store, metrics or Metrics(), clock=clock)


def hook(httpserver: HTTPServer) -> str:
    return f"http://127.0.0.1:{httpserver.port}/hook"


async def sent(deliveries: Delivery) -> None:
    """Sends what is due, and waits until all of it was answered."""
    await deliveries.send_due()
    await asyncio.gather(*deliveries._sending.values())


async def told(store: Store, run: str) -> list[tuple[HistoryKind, int, str]]:
    details = [(entry.kind, entry.detail) for entry in await store.history(run)]
    return [(kind, one.tries, one.reason) for kind, one in details if isinstance(one, NotificationDetail)]


async def test_a_message_is_delivered_and_its_delivery_is_history(
    store: Store, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    await ended(store, "run-1", hook(httpserver))
    await sent(delivery(store, Clock()))

    ((request, _),) = httpserver.log
    assert request.headers["webhook-signature"].startswith("v1,")
    assert request.headers["webhook-timestamp"] == str(int(NOW + 10))
    assert await told(store, "run-1") == [(HistoryKind.NOTIFIED, 1, "")]
    quiet = delivery(store, Clock())
    assert not await quiet.send_due()
    assert len(httpserver.log) == 1


async def test_a_failed_delivery_is_tried_again_later_under_the_same_id(
    store: Store, httpserver: HTTPServer
) -> None:
    """Also by the next gateway: a receiver knows what it has had."""
    httpserver.expect_ordered_request("/hook").respond_with_data("no", status=500)
    httpserver.expect_ordered_request("/hook").respond_with_data("", status=302, headers={"location": "/x"})
    httpserver.expect_ordered_request("/hook").respond_with_data("ok")
    await ended(store, "run-1", hook(httpserver))
    clock = Clock()
    for pause in (0.0, 29.0, 2.0, 59.0, 2.0):
        clock.now += pause
        await sent(delivery(store, clock, pause_seconds=30.0))

    assert len(httpserver.log) == 3
    assert len({request.headers["webhook-id"] for request, _ in httpserver.log}) == 1
    assert await told(store, "run-1") == [(HistoryKind.NOTIFIED, 3, "")]


async def test_a_message_is_given_up_after_its_tries(store: Store, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("no", status=503)
    await ended(store, "run-1", hook(httpserver))
    clock = Clock()
    for _ in range(4):
        await sent(delivery(store, clock, tries=2, pause_seconds=1.0))
        clock.now += 100

    assert len(httpserver.log) == 2
    assert await told(store, "run-1") == [(HistoryKind.NOTIFICATION_FAILED, 2, "the answer was 503")]


@pytest.mark.parametrize(
    ("host", "egress"),
    [("localhost", "localhost:*"), ("127.0.0.1", "hooks.example.com:*"), ("127.0.0.1", "*:*")],
)
async def test_nothing_leads_to_the_gateways_own_machine(
    store: Store, httpserver: HTTPServer, host: str, egress: str
) -> None:
    """Whatever a name resolves to: its address must be public, or in a network that the setting lists."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    await ended(store, "run-1", f"http://{host}:{httpserver.port}/hook")
    await sent(delivery(store, Clock(), egress, tries=1))

    assert httpserver.log == []
    ((kind, _, reason),) = await told(store, "run-1")
    assert kind is HistoryKind.NOTIFICATION_FAILED
    assert "egress" in reason


async def test_a_receiver_that_hangs_delays_no_other(store: Store, httpserver: HTTPServer) -> None:
    """Not even one that is asked for a hundred messages at once."""
    hanging_calls = set[asyncio.Task[Any] | None]()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging_calls.add(asyncio.current_task())
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    httpserver.expect_request("/hook").respond_with_data("ok")
    async with await asyncio.start_server(hang, "127.0.0.2", 0) as hanging:
        port = hanging.sockets[0].getsockname()[1]
        for number in range(30):
            await ended(store, f"slow-{number:02}", f"http://127.0.0.2:{port}/")
        await ended(store, "zrun", hook(httpserver))
        deliveries = delivery(store, Clock(), "127.0.0.0/8:*", seconds=60.0)
        await deliveries.send_due()
        while not await told(store, "zrun") or len(hanging_calls) < AT_ONCE_TO_ONE_HOST:
            await asyncio.sleep(0.01)
        assert len(deliveries._sending) == AT_ONCE_TO_ONE_HOST
        # The next look comes soon: there may be more for the place that becomes free.
        assert await deliveries.send_due()
        for task in deliveries._sending.values():
            task.cancel()
        await asyncio.gather(*deliveries._sending.values(), return_exceptions=True)
        await asyncio.gather(*filter(None, hanging_calls))


def test_settings_that_cannot_be_used_stop_the_start(store: Store) -> None:
    with pytest.raises(StartError, match="key is missing"):
        delivery(store, Clock(), key=None)
    with pytest.raises(StartError, match="is no host"):
        delivery(store, Clock(), "a b")


async def test_an_answer_that_never_begins_counts_as_a_try(store: Store) -> None:
    """Otherwise it would be tried for ever, and a receiver could hold a place as long as it likes."""

    ended_calls = asyncio.Event()

    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended_calls.set()

    async with await asyncio.start_server(go_on, "127.0.0.1", 0) as server:
        await ended(store, "run-1", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await sent(delivery(store, Clock(), tries=1))
        await ended_calls.wait()
    ((kind, tries, reason),) = await told(store, "run-1")
    assert (kind, tries) == (HistoryKind.NOTIFICATION_FAILED, 1)
    assert "no answer began within" in reason


async def test_tries_are_counted_by_the_setting_that_lists_the_host(
    store: Store, httpserver: HTTPServer
) -> None:
    """And what waits is shown, and how late it is."""
    for name, status in (("ok", 200), ("bad", 500)):
        httpserver.expect_request(f"/{name}").respond_with_data("", status=status)
        await ended(store, name, f"http://127.0.0.1:{httpserver.port}/{name}")
    metrics, clock = Metrics(), Clock()
    deliveries = delivery(store, clock, metrics=metrics, tries=2, pause_seconds=30.0)
    await deliveries.show_backlog()
    value = metrics.registry.get_sample_value
    late = clock.now - (NOW + 5)
    assert (value("waypost_notifications_waiting"), value("waypost_notifications_late_seconds")) == (2, late)
    await sent(deliveries)
    clock.now += 30
    await sent(deliveries)
    await deliveries.show_backlog()
    assert (value("waypost_notifications_waiting"), value("waypost_notifications_late_seconds")) == (0, 0)
    for outcome in ("Delivered", "Retrying", "GivenUp"):
        labels = {"receiver": "127.0.0.1:*", "outcome": outcome}
        assert value("waypost_notifications_total", labels) == 1
