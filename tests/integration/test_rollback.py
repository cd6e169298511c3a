"""Tests automatic rollbacks end to end: real Prometheus, real Alertmanager, the shipped rules and routes.

All times are the shipped ones, divided by one number.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.dev.monitoring import choose_addresses, monitoring, monitoring_programs
from gateway.cli.dev.shipped_monitoring import rollback_variables
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.identity.development_issuer import mint_token
from tests.integration.load import Load, bundle, load_on, released
from tests.integration.waiting import taking_work, until

pytestmark = pytest.mark.integration

REGIONS: Final = ("beijing", "shanghai", "shenzhen")
SPEED: Final = 30.0
TOKEN: Final = "of-alertmanager"
OPERATES: Final = (
    *("policy:operate", "policy:read", "regions:read", "audit:read", "workflows:read", "decisions:read"),
)


@asynccontextmanager
async def watched(folder: Path, receiver: str) -> AsyncIterator[tuple[Stack, httpx.AsyncClient]]:
    """Runs a stack that rolls back by itself, watched by Prometheus and Alertmanager; yields an operator."""
    try:
        monitoring_programs()
    except CliError as error:
        pytest.skip(f"{error}: {error.lines[0]}")
    servers = choose_addresses()
    variables = rollback_variables(prometheus=servers.prometheus_url, token=TOKEN, speed=SPEED)
    async with (
        Stack(folder, REGIONS, settings=variables) as stack,
        monitoring(stack, servers, receiver=receiver, alerts_token=TOKEN, speed=SPEED),
    ):
        token = mint_token(
            stack.state / "development",
            subject="ada",
            tenant="demo",
            scopes=OPERATES,
            groups=("/waypost/security",),
        )
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=10) as client:
            await taking_work(client, REGIONS)
            yield stack, client


class Receiver:
    """Notes the names of the alerts that Alertmanager sends to people."""

    def __init__(self, server: HTTPServer) -> None:
        self.sent: dict[str, list[str]] = {"page": [], "ticket": []}
        for kind in self.sent:
            server.expect_request(f"/{kind}").respond_with_handler(self._taking(kind))
        self.url = server.url_for("").rstrip("/")

    def _taking(self, kind: str) -> Any:
        def take(request: Request) -> Response:
            self.sent[kind] += [one["labels"]["alertname"] for one in request.get_json()["alerts"]]
            return Response("")

        return take

    async def has(self, kind: str, alert: str) -> bool:
        return alert in self.sent[kind]


async def rollbacks(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/v1/rollbacks")).json()["items"]
    return items


async def test_a_canary_that_refuses_is_taken_back_by_the_shipped_rules(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only callers call: rule, route, webhook, evidence, rollback and verification are the real ones."""
    receiver = Receiver(httpserver)
    async with (
        watched(tmp_path, receiver.url) as (stack, client),
        load_on(stack, ("demo", "payments")) as load,
    ):
        await released(client, bundle(tmp_path, 1), "activate")
        await until(lambda: served(load, 100))
        assert load.refused == []
        await released(
            client, bundle(tmp_path, 2, banned_executors=["delay"]), "canary", tenants=["payments"]
        )

        found = await until(lambda: verified(client), seconds=60)
        acts = (await client.get("/v1/audit", params={"actor": "rollback"})).json()["items"]
        await until(lambda: receiver.has("ticket", "WaypostRolledBack"))

    assert [step["phase"] for step in found["steps"]] == ["Intended", "Done", "Helped"]
    assert (found["release"], found["returns_to"]) == ("2", "1")
    assert found["alert"] == "WaypostPolicyRefusalsJump"
    assert [act["kind"] for act in acts] == ["PolicyRolledBack"]
    seen = found["steps"][0]["seen"]
    assert seen["release_refused"] == pytest.approx(seen["release_submissions"], rel=0.1)
    assert seen["baseline_refused"] == 0
    done_at = found["steps"][1]["at"]
    assert {one.tenant for one in load.refused} == {"payments"}
    assert {one.status for one in load.since(done_at)} == {202}
    assert "WaypostPolicyRefusalsJump" in receiver.sent["page"]
    assert "WaypostRollbackWanted" not in receiver.sent["page"]
    first, last = load.refused[0].at, load.refused[-1].at
    with capsys.disabled():
        print(
            f"\nfrom the first refusal to the last: {last - first:.1f} s, with times divided by {SPEED:.0f}; "
            f"{len(load.refused)} of {len(load.submissions)} submissions refused"
        )


async def served(load: Load, number: int) -> bool:
    return len(load.submissions) >= number


async def verified(client: httpx.AsyncClient) -> dict[str, Any] | None:
    """Returns the only rollback once it is over."""
    found = await rollbacks(client)
    assert len(found) <= 1
    return found[0] if found and found[0]["phase"] not in ("Intended", "Done") else None
