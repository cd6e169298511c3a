"""Tests the internal port: readiness, liveness and metrics."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.internal.health import internal_api
from gateway.api.routes import api
from gateway.core.errors import Unavailable


@pytest.fixture
async def internal(services: Services) -> Any:
    async def broken() -> str:
        raise Unavailable("no key set")

    async def well() -> str:
        return "revision 1"

    applications = {
        "well": internal_api(services, {"policy": well}),
        "ill": internal_api(services, {"policy": well, "keys": broken}),
    }
    return {
        name: httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal")
        for name, app in applications.items()
    }


async def test_readiness_names_what_is_missing(internal: Any) -> None:
    """An operator must see at a glance why no traffic comes."""
    well, ill = await internal["well"].get("/readyz?verbose"), await internal["ill"].get("/readyz?verbose")

    assert (well.status_code, ill.status_code) == (200, 503)
    assert well.text == "[+] policy: revision 1\n[+] regions: beijing Healthy, shanghai Healthy\nready\n"
    assert "[-] keys: no key set" in ill.text
    assert (await internal["ill"].get("/livez")).status_code == 200


async def test_a_gateway_that_is_cut_off_reports_it(services: Services, client: httpx.AsyncClient) -> None:
    """Where its operator looks first: all regions Unreachable means something else then.

    It goes on accepting.
    """
    alone = structs.replace(services, cut_off=lambda: True)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(internal_api(alone, {})), base_url="http://internal"
    ) as internal:
        ready = await internal.get("/readyz?verbose")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api(alone)), base_url="http://gateway", headers=client.headers
    ) as other:
        listed = await other.get("/v1/regions")

    assert (ready.status_code, "this gateway takes itself to be cut off" in ready.text) == (200, True)
    assert (listed.json()["cut_off"], (await client.get("/v1/regions")).json()["cut_off"]) == (True, False)


async def test_metrics_count_the_outcomes_of_calls(
    client: httpx.AsyncClient, internal: Any, document: dict[str, Any]
) -> None:
    """Submissions by outcome, shards by phase, regions by score; nothing of a tenant in any label."""
    await client.post("/v1/runs", json=document)
    await client.post("/v1/runs", json={})
    text = (await internal["well"].get("/metrics")).text

    assert 'waypost_requests_total{call="submit",outcome="Accepted"} 1.0' in text
    assert 'waypost_requests_total{call="submit",outcome="Invalid"} 1.0' in text
    assert 'waypost_shards{phase="Pending"} 2.0' in text
    assert 'waypost_region_score{region="beijing"} 0.01' in text
    assert 'waypost_request_seconds_count{call="submit"} 2.0' in text
    assert 'waypost_step_seconds_count{step="admit"} 1.0' in text
    assert "payments" not in text


async def test_callers_cannot_make_series(
    client: httpx.AsyncClient, internal: Any, document: dict[str, Any]
) -> None:
    """Whatever they call themselves, their work, the path or the method: Prometheus has as many series."""

    async def call(tenant: str) -> int:
        mine = document | {"metadata": {"name": f"work-of-{tenant}", "labels": {tenant: tenant}}}
        headers = {"authorization": f"Bearer {tenant}.ada"}
        await client.post("/v1/runs", json=mine, headers=headers)
        await client.get(f"/v1/runs/{tenant}", headers=headers)
        await client.get(f"/{tenant}", headers=headers)
        await client.request(tenant.upper(), "/v1/runs", headers=headers)
        await client.get(f"/v1/runs?{tenant}=1", headers={"authorization": f"Bearer {tenant}"})
        return len((await internal["well"].get("/metrics")).text.splitlines())

    first = await call("payments")
    assert [await call(f"tenant{number}") for number in range(5)] == [first] * 5
