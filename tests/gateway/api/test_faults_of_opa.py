"""Tests what a caller gets while the deciding OPA answers badly, late, elsewhere or not at all."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from tests.gateway.api.callers import answered, caller_of
from tests.gateway.policy.opa.faulty_opa import (
    REFUSAL,
    RESULT,
    FaultyOpa,
    body_of,
    faulty_opa,
    response,
    sending,
)
from tests.gateway.policy.opa.named_faults import FAULTS

LIMITS = ("max_priority", "max_shards", "max_open_runs", "max_open_shards", "max_open_tasks")
RATES = ("max_deadline_seconds", "requests_per_second", "weight")
ODD_POINTERS = (
    "",
    "/",
    "x",
    "workflow",
    "/workflow/",
    "/workflow/spec/tasks/-1",
    "/workflow/spec/tasks/9" * 99,
)


@pytest.fixture
async def opa(tmp_path: Path) -> AsyncIterator[FaultyOpa]:
    async with faulty_opa(tmp_path) as opa:
        yield opa


@pytest.fixture
async def client(services: Services, opa: FaultyOpa) -> AsyncIterator[httpx.AsyncClient]:
    async with caller_of(services, opa.address) as client:
        yield client


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_clear_answer_is_a_503(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any], fault: str
) -> None:
    """Nothing is accepted, the caller may try again, and learns nothing of what OPA said."""
    opa.answer = FAULTS[fault]
    answer = await client.post("/v1/runs", json=document)
    problem = answer.json()
    assert (answer.status_code, problem["reason"], problem["retryable"]) == (503, "Unavailable", True)
    assert problem["detail"] == "policy could not answer" and problem["decision_id"]
    opa.answer = sending(response(body_of()))
    assert (await answered(client, "GET", "/v1/runs")).json()["items"] == []


async def test_a_refusal_is_a_403_with_its_reasons(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any]
) -> None:
    """The rules have answered: trying again is no use."""
    opa.answer = sending(response(body_of(REFUSAL)))
    answer = await answered(client, "POST", "/v1/runs", json=document)
    assert (answer.status_code, answer.json()["reason"], answer.json()["detail"]) == (403, "Denied", "no")


async def test_a_permission_is_an_acceptance(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any]
) -> None:
    """Only so are the others worth anything."""
    opa.answer = sending(response(body_of()))
    assert (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202


ODD_OBLIGATIONS: dict[str, Any] = {
    **{f"{name}: {value}": {name: value} for name in LIMITS for value in (-1, 0, 2**53, 2**64, 10**300)},
    **{f"{name}: {value}": {name: value} for name in RATES for value in (-1, 0, 5e-324, 1e308, 2**70)},
    **{f"mask: {pointer[:20]!r}": {"mask": [pointer]} for pointer in ODD_POINTERS},
    "many regions": {"regions": [f"region-{number}" for number in range(10_000)]},
    "a region twice": {"regions": ["beijing", "beijing"]},
    "no name of a region": {"regions": ["beijing", "", "\x00", "x" * 10_000, "\ud7ff雪"]},
    "labels": {"labels": {"": "", "x" * 1_000: "y" * 100_000, "\x00": "\x00"}},
    "side effects": {"side_effects": "none of them"},
    "no tenants": {"tenants": []},
    "tenants": {"tenants": ["", "*", "\x00"]},
    "warnings": {"warnings": ["w" * 100_000, "", "\x00\n"]},
    "many warnings": {"warnings": ["w"] * 10_000},
}


@pytest.mark.parametrize("obligations", ODD_OBLIGATIONS.values(), ids=ODD_OBLIGATIONS)
async def test_odd_obligations_are_kept_or_refused(
    client: httpx.AsyncClient, opa: FaultyOpa, document: dict[str, Any], obligations: dict[str, Any]
) -> None:
    """Whatever the rules set as a limit, no caller gets a 500, also not who looks at the run afterwards."""
    opa.answer = sending(response(body_of({**RESULT, "obligations": RESULT["obligations"] | obligations})))
    answer = await client.post("/v1/runs", json=document)
    assert answer.status_code in (202, 403, 422, 429, 503), answer.text
    for path in ("/v1/runs", "/v1/decisions", f"/v1/runs/{answer.json().get('id', 'none')}"):
        assert (await client.get(path)).status_code in (200, 403, 404, 429, 503), path
