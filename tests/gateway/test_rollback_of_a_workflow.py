"""Tests a whole gateway that advances and rolls back versions of a workflow by what its own metrics say.

Prometheus is a stand-in that reads the gateway's metrics; shards end in them as a test wants.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.app import Gateway, compose
from gateway.identity.development_issuer import mint_token
from gateway.rollback.workflows.queries import COUNTER
from gateway.rollback_settings import LaterKindSettings
from gateway.settings import GatewaySettings, RollbackSettings, Secret
from gateway.start_error import StartError
from tests.gateway.rollback.one_query import answer
from waypost.cancellation import cancel_and_wait


class Witness:
    """A fake Prometheus that answers queries from the gateway's own counters."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def answer(self, request: Request) -> Response:
        answered = answer(request.args["query"], self._value, at=time.time())
        return Response(msgspec.json.encode(answered), content_type="application/json")

    def _value(self, query: str) -> float:
        found = re.search(r'release="([^"]*)"', query)
        if found is None:
            return 0.0
        assert self.gateway is not None
        outcomes = ["failed"] if 'outcome="failed"' in query else ["failed", "succeeded"]
        value = self.gateway.metrics.registry.get_sample_value
        return sum(value(COUNTER, {"release": found[1], "outcome": one}) or 0.0 for one in outcomes)

    def ended(self, release: str, outcome: str) -> None:
        assert self.gateway is not None
        for _ in range(10):
            self.gateway.metrics.releases.observe(release, outcome, 1.0, at=time.time())


def document(seconds: int) -> dict[str, Any]:
    tasks = [{"name": "a", "type": "delay", "run": {"seconds": seconds}}]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "nightly"},
        "spec": {"tasks": tasks},
    }


@asynccontextmanager
async def running(tmp_path: Path, url: str, witness: Witness) -> AsyncIterator[httpx.AsyncClient]:
    """Runs a gateway with the loops of rollbacks and stages, for which any release is old enough."""
    settings = GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"),
        development=str(tmp_path / "dev"),
        rollback=RollbackSettings(
            alerts_token=Secret("of-alertmanager"),
            prometheus_url=url,
            pass_seconds=0.01,
            released_seconds=0.001,
            step_seconds=0.001,
            requests=5,
            workflow=LaterKindSettings(mode="on"),
        ),
    )
    scopes = ("workflows:release", "workflows:read", "workflows:submit", "policy:read")
    async with (
        compose(settings) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as client,
    ):
        witness.gateway = gateway
        token = mint_token(tmp_path / "dev", subject="ada", tenant="demo", scopes=scopes)
        client.headers["authorization"] = f"Bearer {token}"
        loops = [
            asyncio.create_task(gateway.loops[name]()) for name in ("rollbacks", "staged releases (workflow)")
        ]
        try:
            yield client
        finally:
            await cancel_and_wait(loops)


async def versions(client: httpx.AsyncClient, reached: Callable[[Any], bool]) -> list[dict[str, Any]]:
    """Waits until the workflow's versions are as `reached` says, and returns them."""
    async with asyncio.timeout(20):
        while True:
            found: list[dict[str, Any]] = (await client.get("/v1/workflows/nightly")).json()["versions"]
            if reached(found):
                return found
            await asyncio.sleep(0.01)


@pytest.fixture
def witness(httpserver: HTTPServer) -> Witness:
    witness = Witness()
    httpserver.expect_request("/api/v1/query").respond_with_handler(witness.answer)
    return witness


async def test_a_canary_goes_on_while_it_does_well_and_is_taken_back_when_it_fails(
    tmp_path: Path, httpserver: HTTPServer, witness: Witness
) -> None:
    """By itself: nobody but Alertmanager calls after the release was begun."""
    async with running(tmp_path, httpserver.url_for(""), witness) as client:
        for seconds in (1, 2):
            assert (await client.post("/v1/workflows", json=document(seconds))).status_code == 201
        body, path = {"percent": 5, "steps": [25, 99]}, "/v1/workflows/nightly/versions/2/canary"
        answer = await client.post(path, json=body, headers={"if-match": '"2"'})
        assert answer.status_code == 200, answer.text
        for release in ("demo/nightly@1", "demo/nightly@2"):
            witness.ended(release, "succeeded")
        advanced = await versions(client, lambda found: found[1]["percent"] == 99)
        assert (advanced[1]["state"], advanced[1]["changed_by"]) == ("Canary", "gateway")
        witness.ended("demo/nightly@2", "failed")
        labels = {"alertname": "ItFails", "rollback": "workflow", "release": "demo/nightly@2"}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026", "fingerprint": "f"}
        answer = await client.post(
            "/v1/alerts",
            json={"groupKey": "g", "alerts": [alert]},
            headers={"authorization": "Bearer of-alertmanager"},
        )
        assert answer.status_code == 200
        over = await versions(client, lambda found: found[1]["state"] == "RolledBack")
        assert [(one["state"], one["changed_by"]) for one in over] == [
            ("Stable", "ada"),
            ("RolledBack", "rollback"),
        ]
        run = await client.post("/v1/runs", json={"workflow": "nightly"})
        assert run.json()["released"] == "nightly@1"
        (rollback,) = (await client.get("/v1/rollbacks")).json()["items"]
        assert (rollback["kind"], rollback["release"], rollback["returns_to"]) == (
            "workflow",
            "demo/nightly@2",
            "demo/nightly@1",
        )


ON = RollbackSettings(mode="on", prometheus_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("settings", "loops"),
    [
        (ON, {"rollbacks", "staged releases (workflow)"}),
        (RollbackSettings(prometheus_url=ON.prometheus_url), {"staged releases (workflow)"}),
        (RollbackSettings(), set()),
    ],
)
async def test_a_gateway_has_the_loops_for_which_there_is_evidence(
    tmp_path: Path, settings: RollbackSettings, loops: set[str]
) -> None:
    """Shares advance where a team asks for it, also where rollbacks are off."""
    store = Secret(f"sqlite:{tmp_path / 'gateway.db'}")
    async with compose(GatewaySettings(store=store, rollback=settings)) as gateway:
        assert {"rollbacks", "staged releases (workflow)"} & set(gateway.loops) == loops


async def test_without_a_prometheus_a_gateway_that_rolls_back_does_not_start(tmp_path: Path) -> None:
    """Nothing could ever be proven."""
    store = Secret(f"sqlite:{tmp_path / 'gateway.db'}")
    with pytest.raises(StartError, match=r"rollback\.prometheus_url"):
        await compose(GatewaySettings(store=store, rollback=RollbackSettings(mode="on"))).__aenter__()
