"""Whatever an OPA answers, only a clear permission permits, and nothing becomes an error of our own."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from tests.gateway.api.callers import caller_of
from tests.gateway.policy.opa.faulty_opa import body_of, faulty_opa, response, sending
from tests.gateway.policy.opa.random_faults import random_fault

CLEAR = sending(response(body_of()))


async def test_no_fault_permits_and_none_is_our_own(
    services: Services, document: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A caller gets 503 or 403 for each of them, and nothing is stored but what was clearly permitted."""
    wanted, rng = int(request.config.getoption("--faults")), random.Random(10)
    outcomes: Counter[int] = Counter()
    permitted = 0
    async with faulty_opa(tmp_path) as opa, caller_of(services, opa.address) as client:
        for number in range(wanted):
            # Clear answers between keep the breaker closed, so that each fault is really met.
            if number % 4 == 0:
                opa.answer = CLEAR
                permitted += await status(client, document) == 202
            opa.answer = random_fault(rng)
            # One is asked for alone, the others share a call.
            asked = 1 if number % 5 else 5
            outcomes.update(await asyncio.gather(*(status(client, document) for _ in range(asked))))
        opa.answer = CLEAR
        assert await status(client, document) == 202
        stored = await runs(client)
    assert outcomes.keys() <= {403, 503}
    assert outcomes.total() >= wanted
    assert opa.asked >= wanted * 1.2
    assert stored == permitted + 1


async def status(client: httpx.AsyncClient, document: dict[str, Any]) -> int:
    return (await client.post("/v1/runs", json=document)).status_code


async def runs(client: httpx.AsyncClient) -> int:
    """How many runs there are."""
    page = (await client.get("/v1/runs")).json()
    count = len(page["items"])
    while token := page.get("continue"):
        page = (await client.get("/v1/runs", params={"continue": token})).json()
        count += len(page["items"])
    return count
