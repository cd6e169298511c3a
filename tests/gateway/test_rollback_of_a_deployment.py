"""Tests the rollback of an external deployment through a whole gateway: alert, evidence, request, record."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.app import compose
from gateway.identity.development_issuer import mint_token
from gateway.rollback_settings import LaterKindSettings
from gateway.settings import GatewaySettings, RollbackSettings, Secret
from gateway.start_error import StartError
from tests.gateway.rollback.deployments.deployment_world import a_deployment
from tests.gateway.rollback.one_query import answer
from waypost.cancellation import cancel_and_wait

BEGAN = int(time.time())
LABELS = {"alertname": "ShopFails", "rollback": "external", "release": "shop"}
ALERT = {
    "groupKey": "g",
    "alerts": [{"status": "firing", "labels": LABELS, "startsAt": "2026", "fingerprint": "f"}],
}


def prometheus(request: Request) -> Response:
    """Answers that version 1.2 was deployed ten minutes ago, and fails; 1.1 did not."""
    now, query = time.time(), request.args["query"]
    if query == a_deployment().deployed:
        found = {"1.1": BEGAN - 90_000, "1.2": BEGAN - 600}
        result = [{"metric": {"version": one}, "value": [now, str(at)]} for one, at in found.items()]
        answered: Any = {"status": "success", "data": {"resultType": "vector", "result": result}}
    else:
        answered = answer(query, _value, at=now)
    return Response(msgspec.json.encode(answered), content_type="application/json")


def _value(query: str) -> float:
    if "http_requests_total" not in query:
        return 0.0
    bad = "code=~" in query
    return (400.0 if '"1.2"' in query else 1.0) if bad else 1_000.0


def settings_for(tmp_path: Path, url: str, **changes: Any) -> GatewaySettings:
    deployment = a_deployment(
        url=f"{url}/rollback/$name/$previous", token=f"file:{tmp_path / 'token'}", key=None
    )
    return GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"),
        development=str(tmp_path / "dev"),
        rollback=RollbackSettings(
            alerts_token=Secret("of-alertmanager"),
            prometheus_url=url,
            pass_seconds=0.01,
            deployments=(structs.replace(deployment, **changes),),
            external=LaterKindSettings(mode="on"),
        ),
    )


async def test_a_deployment_that_fails_is_rolled_back_by_its_pipeline(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """Nobody but Alertmanager calls; `waypost rollbacks` and the audit tell it."""
    (tmp_path / "token").write_text("of-the-pipeline")
    got = list[Request]()

    def receive(request: Request) -> Response:
        got.append(request)
        return Response("", 202)

    httpserver.expect_request("/api/v1/query").respond_with_handler(prometheus)
    httpserver.expect_request("/rollback/shop/1.1", method="POST").respond_with_handler(receive)
    settings = settings_for(tmp_path, httpserver.url_for("").rstrip("/"))
    async with (
        compose(settings) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as client,
    ):
        loop = asyncio.create_task(gateway.loops["rollbacks"]())
        try:
            head = {"authorization": "Bearer of-alertmanager"}
            assert (await client.post("/v1/alerts", json=ALERT, headers=head)).status_code == 200
            scopes = ("policy:read", "audit:read")
            token = mint_token(tmp_path / "dev", subject="ada", tenant="demo", scopes=scopes)
            client.headers["authorization"] = f"Bearer {token}"
            async with asyncio.timeout(20):
                while not (items := (await client.get("/v1/rollbacks")).json()["items"]) or (
                    items[0]["phase"] == "Intended"
                ):
                    await asyncio.sleep(0.01)
            acts = (await client.get("/v1/audit")).json()["items"]
        finally:
            await cancel_and_wait([loop])
    (found,) = items
    assert (found["phase"], found["kind"], found["owner"]) == ("Done", "external", "shop")
    assert (found["release"], found["returns_to"]) == ("shop@1.2", "shop@1.1")
    (request,) = got
    assert request.headers["authorization"] == "Bearer of-the-pipeline"
    assert msgspec.json.decode(request.data) == {"from": "1.2", "to": "1.1"}
    assert [(act["kind"], act["actor"]) for act in acts] == [("DeploymentRolledBack", "rollback")]


async def test_a_mistake_in_a_deployment_stops_the_start(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "http://127.0.0.1:1", body="$odd")
    with pytest.raises(StartError, match=r"rollback\.deployments, shop: body may have"):
        async with compose(settings):
            pass
