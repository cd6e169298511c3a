"""Tests retention in the API: who may look at it and begin it, and what it answers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.decision import Action, Reason
from gateway.core.run import Run
from gateway.ended_run_settings import RetentionSettings
from gateway.retention.retention import Retention
from gateway.store.interface import Store
from observability.metrics import Metrics
from tests.conformance.store_retention import ENDED, ended_run
from tests.conformance.store_values import DAY
from tests.gateway.api.conftest import Rules
from waypost.cancellation import cancel_and_wait

CALLER = {"authorization": "Bearer demo.ada"}


def with_retention(services: Services, tmp_path: Path) -> Services:
    settings = RetentionSettings(runs_days=30, archive=str(tmp_path / "archive"))
    retention = Retention(services.store, settings, Metrics(), clock=lambda: ENDED + 31 * DAY)
    return structs.replace(
        services, retention=retention, settings=structs.replace(services.settings, retention=settings)
    )


def client_of(services: Services) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api(services))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=CALLER)


async def test_what_is_due_is_shown_and_a_dry_run_changes_nothing(
    services: Services, store: Store, tmp_path: Path
) -> None:
    """The same numbers in both."""
    await ended_run(store, "run-1")
    async with client_of(with_retention(services, tmp_path)) as client:
        shown = await client.get("/v1/retention")
        tried = await client.post("/v1/retention?dryRun=true")
    assert (shown.status_code, tried.status_code) == (200, 200)
    expected: dict[str, Any] = {
        "runs_days": 30.0,
        "runs_maximum": None,
        "audit_days": None,
        "audit_maximum": None,
        "behind_seconds": 0.0,
        "before": ENDED + 1 * DAY,
        "due": 1,
        "ended": 1,
        "oldest_finished_at": ENDED,
        "archived": 0,
        "sealed_entries": 0,
        "archived_trail": None,
        "passing": False,
    }
    assert shown.json() == tried.json() == expected
    assert await store.run("run-1") is not None


async def test_a_pass_is_made_when_it_is_asked_for(services: Services, store: Store, tmp_path: Path) -> None:
    """At once, not after the pause between two passes."""
    services = with_retention(services, tmp_path)
    assert services.retention is not None
    loop = asyncio.create_task(services.retention.run())
    while not services.retention._passing.locked():
        await asyncio.sleep(0)
    async with services.retention._passing:
        pass  # the first pass, at the start, had nothing to do
    await ended_run(store, "run-1")
    async with client_of(services) as client:
        assert (await client.post("/v1/retention")).status_code == 202
    while await gone(store) is None:
        await asyncio.sleep(0)
    await cancel_and_wait([loop])


async def gone(store: Store) -> Run | None:
    archived = await store.archived_run("run-1")
    return None if archived is None else archived.run


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 409)])
async def test_without_settings_there_is_nothing_to_begin(
    client: httpx.AsyncClient, method: str, status: int
) -> None:
    """What is in the store is shown all the same."""
    answer = await client.request(method, "/v1/retention")
    assert answer.status_code == status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_policy_says_who(client: httpx.AsyncClient, rules: Rules, method: str) -> None:
    """What is deleted is of all tenants."""
    rules.refused[Action.RETENTION_OPERATE] = Reason(rule="retention.operator", message="only operators")
    answer = await client.request(method, "/v1/retention")
    assert (answer.status_code, answer.json()["reason"]) == (403, "Denied")
