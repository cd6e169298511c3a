"""Tests a rollback by a whole gateway: submissions, alert, evidence, rollback, report.

Prometheus is a stand-in that reads the gateway's own metrics; what its queries mean is tested by promtool.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
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
from gateway.settings import GatewaySettings, PolicySettings, RollbackSettings, Secret
from tests.gateway.policy.embedded.engines import EMPTY_DATA
from tests.gateway.policy.rollout.releases import archive, rules
from tests.gateway.rollback.one_query import answer
from waypost.cancellation import cancel_and_wait

pytestmark = pytest.mark.integration

DOCUMENT = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "nightly"},
    "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}]},
}
ALERT = {
    "groupKey": "g",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "PolicyRefusalsJump", "rollback": "policy"},
            "startsAt": "2026-01-01T00:00:00Z",
            "fingerprint": "f",
        }
    ],
}
GOOD = {
    name: text.replace('"obligations": {}', '"obligations": {"regions": ["beijing"]}')
    for name, text in rules("good").items()
}
BAD = GOOD | {"submission.rego": rules("bad", allow=False)["submission.rego"]}


class Witness:
    """A fake Prometheus that answers queries from the gateway's own counters."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def answer(self, request: Request) -> Response:
        answered = answer(request.args["query"], self._value, at=time.time())
        return Response(msgspec.json.encode(answered), content_type="application/json")

    def _value(self, query: str) -> float:
        found = re.search(r'revision(!?=)"([^"]*)"', query)
        if found is None:
            return 0.0
        outcome = re.search(r'outcome(!?=)"([^"]*)"', query)
        assert self.gateway is not None
        return sum(
            sample.value
            for family in self.gateway.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "waypost_submission_decisions_total"
            and (sample.labels["revision"] == found[2]) == (found[1] == "=")
            and (outcome is None or (sample.labels["outcome"] == outcome[2]) == (outcome[1] == "="))
        )


@asynccontextmanager
async def running(tmp_path: Path, url: str, witness: Witness) -> AsyncIterator[httpx.AsyncClient]:
    """Runs a gateway with the rollback loop, for which any release is old enough."""
    base = tmp_path / "base"
    base.mkdir()
    for name, text in rules("base").items():
        (base / name).write_text(text)
    (base / "data.json").write_bytes(msgspec.json.encode(EMPTY_DATA))
    settings = GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"),
        development=str(tmp_path / "dev"),
        policy=PolicySettings(folder=str(base)),
        rollback=RollbackSettings(
            mode="on",
            alerts_token=Secret("of-alertmanager"),
            prometheus_url=url,
            pass_seconds=0.01,
            released_seconds=0.001,
            requests=5,
            verify_seconds=0.001,
        ),
    )
    async with (
        compose(settings) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as client,
    ):
        witness.gateway = gateway
        token = mint_token(tmp_path / "dev", subject="ada", tenant="demo", scopes=("policy:operate",))
        client.headers["authorization"] = f"Bearer {token}"
        loop = asyncio.create_task(gateway.loops["rollbacks"]())
        try:
            yield client
        finally:
            await cancel_and_wait([loop])


async def release(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/policy/bundles", content=content)
    assert answer.status_code == 201, answer.text
    path = f"{answer.headers['location']}/activate"
    answer = await client.post(path, headers={"if-match": answer.headers["etag"]})
    assert answer.status_code == 200, answer.text


async def submitted(client: httpx.AsyncClient) -> list[int]:
    return [(await client.post("/v1/runs", json=DOCUMENT)).status_code for _ in range(6)]


async def test_a_bundle_that_refuses_everything_is_taken_back(tmp_path: Path, httpserver: HTTPServer) -> None:
    """By itself: nobody but Alertmanager calls, and what was permitted before is permitted again."""
    witness = Witness()
    httpserver.expect_request("/api/v1/query").respond_with_handler(witness.answer)
    async with running(tmp_path, httpserver.url_for(""), witness) as client:
        await release(client, archive(1, GOOD, key=None))
        before = await submitted(client)
        await release(client, archive(2, BAD, key=None))
        during = await submitted(client)
        assert (set(before) & {403}, set(during)) == (set(), {403})
        headers = {"authorization": "Bearer of-alertmanager"}
        assert (await client.post("/v1/alerts", json=ALERT, headers=headers)).status_code == 200
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while not found or found[0]["phase"] in ("Intended", "Done"):
                await asyncio.sleep(0.01)
                found = (await client.get("/v1/rollbacks")).json()["items"]
        assert [step["phase"] for step in found[0]["steps"]][:2] == ["Intended", "Done"]
        assert found[0]["steps"][0]["seen"]["release_refused"] == 6.0
        assert (found[0]["release"], found[0]["returns_to"]) == ("2", "1")
        assert await submitted(client) == before
        bundles = (await client.get("/v1/policy/bundles")).json()["items"]
        assert [(one["sequence"], one["state"], one["changed_by"]) for one in bundles] == [
            (2, "RolledBack", "rollback"),
            (1, "Active", "rollback"),
        ]
