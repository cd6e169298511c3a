"""A simulated external deployment for tests: its versions, and the system that rolls it back on request."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import httpx

from gateway.core.rollback import ReleaseKind, Rollback
from gateway.rollback.deployments.releases import ExternalDeployments
from gateway.rollback.deployments.sender import send_rollback
from gateway.rollback.evidence import NoEvidence
from gateway.rollback_settings import ExternalDeployment
from tests.conformance.release_world import ReleaseWorld, State
from tests.gateway.policy.rollout.releases import Opened

TOKEN: Final = "of-the-pipeline"
KEY: Final = "of-the-signature"


def a_deployment(**changes: Any) -> ExternalDeployment:
    values: dict[str, Any] = {
        "name": "shop",
        "deployed": "max by (version) (last_over_time(shop_deployed_timestamp_seconds[30d]))",
        "total": 'increase(http_requests_total{version="$version"}$window)',
        "bad": 'increase(http_requests_total{version="$version",code=~"5.."}$window)',
        "url": "https://ci.test/rollback/$name/$previous",
        "headers": {"Authorization": "Bearer $token"},
        "body": '{"from": "$version", "to": "$previous"}',
        "token": "env:SHOP_TOKEN",
        "key": "env:SHOP_KEY",
    }
    return ExternalDeployment(**values | changes)


class DeploymentWorld(ReleaseWorld):
    """Three versions of the deployment `shop`; the receiver of the request rolls it back at once."""

    kind = ReleaseKind.EXTERNAL
    counted = ExternalDeployments.counted

    def __init__(self, gateway: Opened) -> None:
        super().__init__(gateway)
        self.deployed: dict[str, float] = {}
        self.candidate = 0
        self.taken: set[int] = set()
        self.requests: list[httpx.Request] = []

    @property
    def releases(self) -> ExternalDeployments:
        deployment = a_deployment(canary=bool(self.candidate))
        return ExternalDeployments([deployment], self.store, self, self.send)

    async def versions(self, query: str) -> Mapping[str, float] | NoEvidence:
        assert query == a_deployment().deployed
        return self.deployed

    async def send(self, deployment: ExternalDeployment, rollback: Rollback) -> int:
        transport = httpx.MockTransport(self.receive)
        return await send_rollback(deployment, rollback, clock=lambda: self.now, transport=transport)

    async def receive(self, request: httpx.Request) -> httpx.Response:
        """Rolls the newest version back, if the request is for it, authorized and signed."""
        self.requests.append(request)
        signed = f"{int(self.now)}:".encode() + request.content
        expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
        assert request.headers["x-waypost-signature"] == f"sha256={expected}"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        newest = max(self.deployed, key=self.deployed.__getitem__)
        assert request.url.path == f"/rollback/shop/1.{self._before(newest)}"
        await self.take_back(int(newest.removeprefix("1.")))
        return httpx.Response(201)

    def _before(self, version: str) -> int:
        rest = {one: at for one, at in self.deployed.items() if one != version}
        return int(max(rest, key=rest.__getitem__).removeprefix("1."))

    def name(self, number: int) -> str:
        return f"shop@1.{number}"

    async def states(self) -> dict[int, State]:
        running = {
            one: at
            for one, at in self.deployed.items()
            if int(one[2:]) not in self.taken and int(one[2:]) != self.candidate
        }
        newest = max(running, key=running.__getitem__)
        found = dict.fromkeys((1, 2, 3), State.WAITING)
        found |= {int(one[2:]): State.BEFORE for one in self.deployed}
        found |= {int(newest[2:]): State.IN_FORCE} | dict.fromkeys(self.taken, State.TAKEN_BACK)
        return found | ({self.candidate: State.CANARY} if self.candidate else {})

    async def release(self, number: int) -> None:
        self.deployed[f"1.{number}"] = self.now

    async def canary(self, number: int) -> None:
        self.candidate = number
        await self.release(number)

    async def take_back(self, number: int) -> None:
        self.taken.add(number)
        self.candidate = 0
        # Whoever deploys says so: the version before it is deployed again.
        self.deployed[f"1.{self._before(f'1.{number}')}"] = self.now
