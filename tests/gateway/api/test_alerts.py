"""Tests alerts sent to the API: who may send them, that they are stored first, and what is no alert."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from loguru import logger
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.errors import Unavailable
from gateway.settings import RollbackSettings, Secret
from gateway.store.interface import Store
from tests.gateway.api.description import described

BEARER = {"authorization": "Bearer of-alertmanager"}
SETTINGS = RollbackSettings(
    mode="on", alerts_token=Secret("of-alertmanager"), alerts_key=Secret("of-grafana")
)
NOW = 1_700_000_000


def notification(fingerprint: str = "f1", status: str = "firing", **changes: Any) -> dict[str, Any]:
    """Returns the JSON of an alert as Alertmanager 0.27 sends it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="RefusalsJump"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "waypost",
        "groupLabels": {"alertname": "RefusalsJump"},
        "commonLabels": {"alertname": "RefusalsJump"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": "RefusalsJump", "rollback": "policy"},
                "annotations": {},
                "startsAt": "2026-01-01T00:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090",
                "fingerprint": fingerprint,
            }
        ],
    } | changes


@pytest.fixture
async def sender(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    settings = structs.replace(services.settings, rollback=SETTINGS)
    known = structs.replace(services, settings=settings, wall_clock=lambda: float(NOW))
    transport = httpx.ASGITransport(api(known))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        client.event_hooks = {"response": [described]}
        yield client


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Collects what is logged while a test runs."""
    lines = list[str]()
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    yield lines
    logger.remove(sink)


def signed(body: bytes, *, at: int = NOW, key: bytes = b"of-grafana") -> dict[str, str]:
    digest = hmac.new(key, f"{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {"x-grafana-alerting-signature": digest, "x-grafana-alerting-timestamp": str(at)}


async def test_the_same_alert_fifty_times_is_one(sender: httpx.AsyncClient, store: Store) -> None:
    """Alertmanager sends at least once, and again while it fires."""
    answers = [await sender.post("/v1/alerts", json=notification(), headers=BEARER) for _ in range(50)]
    assert [answer.status_code for answer in answers] == [200] * 50
    assert [answer.json()["new"] for answer in answers] == [1, *[0] * 49]
    (alert,) = (await store.open_alerts(limit=9)).alerts
    assert (alert.name, alert.kind, alert.fingerprint) == ("RefusalsJump", "policy", "f1")


@pytest.mark.parametrize(("name", "subject"), [("demo/w@3", "demo/w@3"), ("d" * 201, ""), (None, "")])
async def test_an_alert_may_name_one_release_of_many(
    sender: httpx.AsyncClient, store: Store, name: str | None, subject: str
) -> None:
    """A name that is too long is none: cut off it might be that of another."""
    body = notification()
    body["alerts"][0]["labels"] |= {} if name is None else {"release": name}
    await sender.post("/v1/alerts", json=body, headers=BEARER)
    (alert,) = (await store.open_alerts(limit=9)).alerts
    assert alert.subject == subject


async def test_resolved_before_firing_stays_resolved(sender: httpx.AsyncClient, store: Store) -> None:
    for status in ("resolved", "firing"):
        await sender.post("/v1/alerts", json=notification(status=status), headers=BEARER)
    assert (await store.open_alerts(limit=9)).alerts == ()


async def test_grafana_may_sign(sender: httpx.AsyncClient) -> None:
    """Its own form has version 1 and more fields; the signature is of timestamp and body."""
    body = msgspec.json.encode(notification(version="1", orgId=1, state="alerting"))
    answer = await sender.post("/v1/alerts", content=body, headers=signed(body))
    assert (answer.status_code, answer.json()) == (200, {"received": 1, "new": 1, "left_out": 0})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic of-alertmanager"}, 401),
        ({"x-grafana-alerting-signature": "0" * 64, "x-grafana-alerting-timestamp": str(NOW)}, 401),
        ({"x-grafana-alerting-signature": ""}, 401),
        (signed(b"another body"), 401),
        (signed(b"{}", key=b"of-another"), 401),
        (signed(b"{}", at=NOW - 301), 403),
        (signed(b"{}", at=NOW + 301), 403),
        ({"x-grafana-alerting-signature": hmac.new(b"of-grafana", b":{}", "sha256").hexdigest()}, 403),
        (signed(b"{}") | {"authorization": "Bearer wrong"}, 401),
    ],
)
async def test_who_does_not_prove_itself_is_refused(
    sender: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    """Forged, or a copy of an old one: nothing of it is stored, and no secret is in the answer."""
    answer = await sender.post("/v1/alerts", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert "of-" not in answer.text


async def test_a_gateway_without_token_and_key_takes_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/alerts", json=notification())
    assert (answer.status_code, answer.json()["reason"]) == (403, "Denied")


async def test_what_fits_is_taken_and_what_does_not_is_told(
    sender: httpx.AsyncClient, services: Services, store: Store, logged: list[str]
) -> None:
    """No sender repeats what gets a 413, or what it has left out by itself: an alert must say so."""
    alerts = [notification(f"f{number}")["alerts"][0] for number in range(600)]
    answer = await sender.post("/v1/alerts", json=notification(alerts=alerts), headers=BEARER)
    assert (answer.status_code, answer.json()["new"]) == (200, 600)
    assert len((await store.open_alerts(limit=999)).alerts) == 600
    answer = await sender.post("/v1/alerts", json=notification(alerts=alerts * 3), headers=BEARER)
    assert answer.status_code == 413
    answer = await sender.post("/v1/alerts", json=notification(truncatedAlerts=7), headers=BEARER)
    assert answer.json() == {"received": 1, "new": 0, "left_out": 7}

    value = services.metrics.registry.get_sample_value
    assert value("waypost_alerts_total", {"outcome": "LeftOut"}) == 7
    refused = {"call": "receive_alerts", "outcome": "TooLarge"}
    assert value("waypost_requests_total", refused) == 1
    refusal, left_out = logged
    assert "refused, and will not be sent again" in refusal
    assert "left 7 alerts of the group {}:{alertname=" in left_out


async def test_a_body_of_10_mb_is_refused(sender: httpx.AsyncClient) -> None:
    answer = await sender.post("/v1/alerts", content=b"x" * 10_000_000, headers=BEARER)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 400, None),
        (b"[]", 422, ""),
        (b"{}", 422, "/groupKey"),
        (msgspec.json.encode(notification(alerts=[{}])), 422, "/alerts/0/startsAt"),
        (msgspec.json.encode(notification(status="odd")), 422, "/alerts/0/status"),
        (msgspec.json.encode(notification(fingerprint="")), 422, "/alerts/0/fingerprint"),
    ],
)
async def test_what_is_no_notification_is_refused_with_its_place(
    sender: httpx.AsyncClient, body: bytes, status: int, pointer: str | None
) -> None:
    answer = await sender.post("/v1/alerts", content=body, headers=BEARER)
    assert answer.status_code == status
    if pointer is not None:
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_without_its_store_the_gateway_asks_for_it_again(
    sender: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 503 is what Alertmanager sends again; a 2xx would lose it."""

    async def full(*_: object) -> int:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "take_alerts", full)
        assert (await sender.post("/v1/alerts", json=notification(), headers=BEARER)).status_code == 503
    assert (await sender.post("/v1/alerts", json=notification(), headers=BEARER)).json()["new"] == 1
