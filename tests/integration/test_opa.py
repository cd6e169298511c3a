"""A stack whose policy a real OPA decides, and what an outage of OPA does to it."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from tests.integration.conftest import QUICK_RETURN, REGIONS, noting, rows
from tests.integration.waiting import ended, submitted, taking_work, until
from tests.opa_fixture import OPA, needs_opa

pytestmark = [needs_opa, pytest.mark.integration]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, REGIONS, settings=QUICK_RETURN, opa=OPA) as stack:
        yield stack


async def readiness(stack: Stack) -> httpx.Response:
    async with httpx.AsyncClient(base_url=stack.metrics_url, timeout=10) as inside:
        return await inside.get("/readyz?verbose")


async def test_runs_end_whatever_becomes_of_opa(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What is accepted ends while OPA is away; nothing is accepted then; afterwards all is as before."""
    revision = read_bundle(SHIPPED_POLICIES, None).revision
    await taking_work(client, REGIONS)
    assert f"[+] policy: revision {revision}, opa+unix:" in (await readiness(stack)).text

    run = await submitted(client, noting(tmp_path / "log", 0.2, "a", "b"))
    stack.kill("opa")
    await stack.processes["opa"].wait()
    refused = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
    assert (refused.status_code, refused.json()["reason"]) == (503, "Unavailable")
    assert (await readiness(stack)).status_code == 503

    # Reads are asked of policy too, so the run is looked at once OPA is back.
    await stack.start_opa()
    assert (await ended(client, run))["phase"] == "Succeeded"
    stack.signal("opa", signal.SIGSTOP)
    refused = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
    assert refused.status_code == 503
    stack.signal("opa", signal.SIGCONT)

    async def accepted() -> bool:
        answer = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
        return answer.is_success

    assert await until(accepted)
    assert await until(lambda: is_ready(stack))
    engines = rows(
        stack.state / "gateway.db", "select distinct json_extract(state, '$.engine') from decision"
    )
    assert engines == [("opa",)]


async def is_ready(stack: Stack) -> bool:
    return (await readiness(stack)).is_success
