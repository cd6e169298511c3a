"""Tests that no random fault of an OPA permits a call or becomes an error of our own."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.api.http.services import Services
from tests.gateway.api.callers import answered, caller_of
from tests.gateway.policy.opa.faulty_opa import RESULT, Answer, FaultyOpa, body_of, faulty_opa, response
from tests.gateway.policy.opa.random_faults import Dice, random_fault


@pytest.mark.parametrize("numbers", [True, False], ids=["numbered", "without numbers"])
async def test_no_fault_permits_and_none_is_our_own(
    services: Services,
    document: dict[str, Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    *,
    numbers: bool,
) -> None:
    """A caller gets 503 or 403 for each of them, and nothing is stored but what was clearly permitted."""
    wanted, dice = int(request.config.getoption("--faults")), Dice(10)
    outcomes: Counter[int] = Counter()
    permitted = 0
    # Ten times the usual deadline: on a busy machine answers come late, and lateness is one fault of many.
    async with faulty_opa(tmp_path) as opa, caller_of(services, opa.address, deadline_seconds=1) as client:
        opa.numbers = numbers
        for number in range(wanted):
            # Clear answers between keep the breaker closed, so that each fault is really met.
            if number % 4 == 0:
                opa.answer = clear(opa, f"rev{number}")
                permitted += (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202
            opa.answer = faulty(opa, dice)
            # One is asked for alone, the others share a call.
            asked = 1 if number % 5 else 5
            outcomes.update(await asyncio.gather(*(status(client, document) for _ in range(asked))))
        opa.answer = clear(opa, "last")
        assert (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202
        stored = await runs(client)
    assert outcomes.keys() <= {403, 503}
    assert outcomes.total() >= wanted
    assert opa.asked >= wanted * 1.2
    assert stored == permitted + 1
    assert numbers == (sum("/batch/" in path for path in opa.paths[-20:]) > 10)


def questions(opa: FaultyOpa) -> tuple[str, ...]:
    """Returns the numbers of the queries in OPA's last request; empty for one query without a number."""
    return tuple(msgspec.json.decode(opa.bodies[-1])["input"].get("questions", ()))


def clear(opa: FaultyOpa, revision: str) -> Answer:
    """Returns an answer of OPA that permits everything, with a new revision.

    A new revision may have the rules for numbers, whatever a fault said of the one before.
    """

    async def answer(writer: asyncio.StreamWriter) -> None:
        numbers, provenance = questions(opa), {"version": "1", "bundles": {"b": {"revision": revision}}}
        result = dict.fromkeys(numbers, RESULT) if numbers else RESULT
        writer.write(response(body_of(result, provenance=provenance)))

    return answer


def faulty(opa: FaultyOpa, dice: Dice) -> Answer:
    """Returns a fake OPA's answer with a random fault, the same for each query of the request."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        dice.numbers = questions(opa)
        await random_fault(dice)(writer)

    return answer


async def status(client: httpx.AsyncClient, document: dict[str, Any]) -> int:
    return (await client.post("/v1/runs", json=document)).status_code


async def runs(client: httpx.AsyncClient) -> int:
    """Counts the runs by listing all pages."""
    page = (await answered(client, "GET", "/v1/runs")).json()
    count = len(page["items"])
    while token := page.get("continue"):
        page = (await answered(client, "GET", "/v1/runs", params={"continue": token})).json()
        count += len(page["items"])
    return count
