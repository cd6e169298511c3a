"""Tests that no release is rolled back where a real Prometheus has no evidence, or the cause may be another.

The bundle in canary is bad all the time, and its alert fires: only the evidence is missing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.dev.faulty_proxy import Mode
from gateway.cli.dev.monitoring import choose_addresses
from tests.integration.doubtful_prometheus import DoubtfulPrometheus, doubtful_prometheus
from tests.integration.load import WORK, bundle, load_on, released
from tests.integration.waiting import described, submitted, until
from tests.integration.watched_stack import Receiver, Watched, watched

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LOST: Final = "beijing"
LONG: Final = {
    **WORK,
    "spec": {"tasks": [{"name": "wait", "type": "delay", "run": {"seconds": 600}}]},
}
"""A workflow that is still under way when its region is lost."""


@asynccontextmanager
async def with_a_bad_canary(
    folder: Path,
    receiver: str,
    fault: Callable[[DoubtfulPrometheus, Watched], Awaitable[None]],
    settings: dict[str, object],
) -> AsyncIterator[tuple[Watched, DoubtfulPrometheus]]:
    """Runs a stack under load whose Prometheus has a fault, and then releases a bad bundle in canary."""
    servers = choose_addresses()
    async with (
        doubtful_prometheus(folder, servers.prometheus_url) as doubtful,
        watched(folder, receiver, servers, settings | {"prometheus_url": doubtful.url}) as stack,
        load_on(stack.stack, ("demo", "payments")) as load,
    ):
        await released(stack.client, bundle(folder, 1), "activate")
        await until(stack.has_baseline, seconds=100)
        await fault(doubtful, stack)
        bad = bundle(folder, 2, banned_executors=["delay"])
        await released(stack.client, bad, "canary", tenants=["payments"])
        await until(lambda: any_of(load.refused))
        yield stack, doubtful


async def any_of(found: list[Any]) -> bool:
    return bool(found)


async def down(doubtful: DoubtfulPrometheus, _: Watched) -> None:
    await doubtful.path.switch(Mode.CUT)


async def test_without_evidence_nothing_is_taken_back_and_a_person_is_paged(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """Prometheus down, slow, empty, full of NaN, with another clock: frozen each time, until it is well."""
    receiver = Receiver(httpserver)
    async with with_a_bad_canary(tmp_path, receiver.url, down, {"clock_offset_seconds": 6}) as (
        stack,
        doubtful,
    ):
        first = await until(lambda: frozen(stack, 1))
        assert (first["alert"], first["steps"][0]["detail"][:28]) == (
            *("WaypostPolicyRefusalsJump", "Prometheus does not answer: "),
        )
        await until(lambda: receiver.has("page", "WaypostRollbackWanted"))
        await doubtful.path.switch(Mode.PASS)

        doubtful.path.delay_seconds = 3
        assert await why_frozen(stack, 2) == "Prometheus has not answered in time"
        doubtful.path.delay_seconds = 0
        doubtful.empty = True
        assert await why_frozen(stack, 3) == "Prometheus has no data for release"
        bundles = (await stack.client.get("/v1/policy/bundles")).json()["items"]
        doubtful.nan_revisions = [one["revision"] for one in bundles]
        await until(doubtful.has_nan)
        assert await why_frozen(stack, 4) == "Prometheus has numbers that cannot be"
        doubtful.empty, doubtful.nan_revisions = False, ()
        doubtful.clock_offset_seconds = -9
        assert await why_frozen(stack, 5) == "Prometheus's clock is another than the gateway's"
        doubtful.clock_offset_seconds = 0

        assert [one["phase"] for one in await stack.rollbacks()] == ["Frozen"] * 5
        await fire(stack, 6)
        found = await until(lambda: rolled_back(stack))
    assert found["release"] == "2"


async def test_while_work_moves_off_a_region_nothing_is_taken_back(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """The region may be the cause. Once the failover is long enough ago, the evidence decides.

    The window is longer than the test, so that the failover is in it however late the alert is.
    """

    async def lost(_: DoubtfulPrometheus, stack: Watched) -> None:
        await until(lambda: begun_in(stack, LOST), seconds=60)
        stack.stack.kill(LOST)
        await until(lambda: moved(stack))

    receiver = Receiver(httpserver)
    async with with_a_bad_canary(tmp_path, receiver.url, lost, {"window_seconds": 600}) as (stack, doubtful):
        await until(lambda: alerted(stack), seconds=60)
        assert await stack.rollbacks() == []
        await stack.stack.processes[LOST].wait()
        await stack.stack.start_region(LOST, port=stack.stack.ready[LOST]["port"])
        await until(lambda: asked(doubtful, 3), seconds=60)
        assert await stack.rollbacks() == []
        doubtful.failovers_long_ago = True
        found = await until(lambda: rolled_back(stack), seconds=60)
    assert found["steps"][0]["seen"]["failovers"] == 0


async def fire(stack: Watched, number: int) -> None:
    """Gives Alertmanager an alert about policy bundles that it has not had yet."""
    labels = {"alertname": f"Trigger{number}", "rollback": "policy", "severity": "ticket"}
    alert = {"labels": labels, "startsAt": datetime.now(UTC).isoformat()}
    async with httpx.AsyncClient(base_url=stack.servers.alerts_url) as client:
        (await client.post("/api/v2/alerts", json=[alert])).raise_for_status()


async def why_frozen(stack: Watched, number: int) -> str:
    """Fires another alert; returns why the gateway, which has frozen it as its `number`th, did so."""
    await fire(stack, number)
    found = await until(lambda: frozen(stack, number))
    why: str = found["steps"][0]["detail"]
    return why


async def frozen(stack: Watched, number: int) -> dict[str, Any] | None:
    found = await stack.rollbacks()
    assert {one["phase"] for one in found} <= {"Frozen"}
    return found[0] if len(found) >= number else None


async def rolled_back(stack: Watched) -> dict[str, Any] | None:
    found = await stack.rollbacks()
    return found[0] if found and found[0]["phase"] in ("Done", "Helped") else None


async def metric(stack: Watched, name: str) -> float:
    """Returns the sum of a metric of the gateway over its labels."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{stack.stack.metrics_url}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def begun_in(stack: Watched, region: str) -> bool:
    """Begins a long run; returns whether it is in `region`."""
    run = await submitted(stack.client, LONG)

    async def running() -> dict[str, Any] | None:
        (shard,) = (await described(stack.client, run))["shards"]
        return shard if shard["phase"] == "Running" else None

    found: str = (await until(running, seconds=60))["region"]
    return found == region


async def moved(stack: Watched) -> bool:
    return await metric(stack, "waypost_failovers_total") > 0


async def alerted(stack: Watched) -> bool:
    return await metric(stack, 'waypost_alerts_total{outcome="New"}') > 0


async def asked(doubtful: DoubtfulPrometheus, times: int) -> bool:
    return doubtful.failovers_seen >= times
