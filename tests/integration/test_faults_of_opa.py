"""Tests a gateway process whose OPA has each named fault, and how long callers wait."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.settings import PolicySettings
from tests.gateway.policy.opa.faulty_opa import FaultyOpa, body_of, faulty_opa, response, sending
from tests.gateway.policy.opa.named_faults import FAULTS
from tests.integration.conftest import caller_of, noting
from tests.integration.waiting import until
from tests.opa_fixture import OPA, needs_opa

pytestmark = pytest.mark.integration
REGION = ("beijing",)
DEADLINE_SECONDS = PolicySettings().deadline_seconds


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[FaultyOpa]:
    async with faulty_opa(tmp_path) as opa:
        yield opa


@pytest.fixture
async def stack(tmp_path: Path, opa: FaultyOpa) -> AsyncIterator[Stack]:
    """Yields a stack whose gateway queries `opa`."""
    settings = {"WAYPOST_POLICY__ENGINE": f"opa+unix:{opa.address.socket}"}
    async with Stack(tmp_path / "stack", REGION, settings=settings, shared=[tmp_path]) as stack:
        yield stack


async def submitted(client: httpx.AsyncClient, folder: Path) -> tuple[httpx.Response, float]:
    """Submits a workflow; returns the answer and the seconds that it took."""
    began = time.monotonic()
    answer = await client.post("/v1/runs", json=noting(folder / "log", 0, "a", shards=1))
    return answer, time.monotonic() - began


async def test_a_gateway_whose_opa_answers_badly_refuses_in_time(
    client: httpx.AsyncClient, opa: FaultyOpa, tmp_path: Path
) -> None:
    """Each fault is a 503; nothing of it is left when OPA answers again."""
    clear, took = sending(response(body_of())), {}
    for name, fault in FAULTS.items():
        opa.answer = fault
        answer, took[name] = await submitted(client, tmp_path)
        assert (answer.status_code, answer.json()["reason"]) == (503, "Unavailable"), name
        opa.answer = clear
        assert (await submitted(client, tmp_path))[0].status_code == 202, name
    late = sorted(((seconds - DEADLINE_SECONDS, name) for name, seconds in took.items()), reverse=True)
    print(f"\n{len(took)} faults, each a 503; the latest, in ms after the deadline:")
    for seconds, name in late[:5]:
        print(f"  {seconds * 1_000:6.1f}  {name}")


@needs_opa
async def test_an_opa_that_is_stopped_or_killed_refuses_in_time(tmp_path: Path) -> None:
    """A real one."""
    settings = {"WAYPOST_POLICY__DEADLINE_SECONDS": str(DEADLINE_SECONDS)}
    stack = Stack(tmp_path / "stack", REGION, settings=settings, opa=OPA, shared=[tmp_path])
    async with stack, caller_of(stack) as client:
        for name, stop, go_on in (
            ("stopped", signal.SIGSTOP, signal.SIGCONT),
            ("killed", signal.SIGKILL, None),
        ):

            async def accepted() -> bool:
                return (await submitted(client, tmp_path))[0].is_success

            assert await until(accepted)
            stack.signal("opa", stop)
            found = [await submitted(client, tmp_path) for _ in range(20)]
            assert {answer.status_code for answer, _ in found} == {503}
            latest = max(seconds for _, seconds in found) - DEADLINE_SECONDS
            print(f"\nOPA {name}: the latest of 20 refusals {latest * 1_000:.1f} ms after the deadline")
            stack.signal("opa", go_on) if go_on else await stack.start_opa()
        assert await until(accepted)
