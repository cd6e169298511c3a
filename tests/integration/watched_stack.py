"""Runs a stack that rolls releases back by itself, watched by a real Prometheus and Alertmanager.

The rules and routes are those that ship; all times are the shipped ones, divided by one number.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.dev.monitoring import Monitoring, monitoring, monitoring_programs
from gateway.cli.dev.shipped_monitoring import rollback_variables
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.identity.development_issuer import mint_token
from tests.integration.waiting import taking_work, until

REGIONS: Final = ("beijing", "shanghai", "shenzhen")
SPEED: Final = 30.0
NO_SETTINGS: Final[Mapping[str, object]] = {}
TOKEN: Final = "of-alertmanager"
BASELINE_SUBMISSIONS: Final = 300
OPERATES: Final = (
    *(
        "workflows:release",
        "policy:operate",
        "policy:read",
        "routing:operate",
        "regions:read",
        "audit:read",
        "workflows:read",
        "workflows:submit",
    ),
)


class Watched:
    """A stack, a client of its API that may operate it, and the addresses of the servers that watch it."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, servers: Monitoring) -> None:
        self.stack, self.client, self.servers = stack, client, servers

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Returns what the API answers to a GET; asks again where a busy gateway has no turn for it."""

        async def answered() -> dict[str, Any] | None:
            answer = await self.client.get(path, params=query)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return None
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

        return await until(answered)

    async def rollbacks(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/v1/rollbacks"))["items"]
        return items

    async def has_baseline(self) -> bool:
        """Returns whether Prometheus has seen enough permitted submissions for a jump of refusals.

        The shipped alert compares a minute with the hour, of which both have been only seconds here.
        """
        counted = 'sum(increase(waypost_submission_decisions_total{outcome="permitted"}'
        query = f"{counted}[{3600 / SPEED:.0f}s])) > {BASELINE_SUBMISSIONS}"
        async with httpx.AsyncClient(base_url=self.servers.prometheus_url) as prometheus:
            answer = await prometheus.get("/api/v1/query", params={"query": query})
        return bool(answer.json()["data"]["result"])


@asynccontextmanager
async def watched(
    folder: Path,
    receiver: str,
    servers: Monitoring,
    settings: Mapping[str, object] = NO_SETTINGS,
) -> AsyncIterator[Watched]:
    """Runs a stack with its servers at these addresses; `settings` are those of rollbacks that differ.

    Skips the test where Prometheus or Alertmanager is not installed.
    """
    try:
        monitoring_programs()
    except CliError as error:
        pytest.skip(f"{error}: {error.lines[0]}")
    variables = rollback_variables(prometheus=servers.prometheus_url, token=TOKEN, speed=SPEED)
    variables |= {f"WAYPOST_ROLLBACK__{name.upper()}": str(value) for name, value in settings.items()}
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
            yield Watched(stack, client, servers)


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
