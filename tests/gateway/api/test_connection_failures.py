"""Tests the reason that operators see for an unreachable region, with real certificates and sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from loguru import logger
from msgspec import structs

from clusters.embedded.http.client import EmbeddedCluster
from gateway.api.http.services import Services
from gateway.api.internal.health import internal_api
from gateway.reconciler.health_updates import update_health
from gateway.reconciler.links.region_link import RegionLink
from gateway.reconciler.region_assessment import log_conditions
from gateway.regions.region_condition import RegionCondition
from gateway.regions.region_view import RegionView
from gateway.settings import HealthSettings
from tests.clusters.embedded.http.served_cluster import HOST, served, store
from tests.clusters.embedded.scripted_cluster import ScriptedCluster
from tests.clusters.transport_servers import sending
from tests.gateway.reconciler.under_way import NOW, region
from waypost import tls
from waypost.pki import authority, certificates

Address: TypeAlias = AbstractAsyncContextManager[str]
HEALTH = HealthSettings()


class Deployment:
    """The certificates of a deployment, of another deployment, and expired ones of the first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.own, self.other, self.old = folder / "own", folder / "other", folder / "old"
        for root in (self.own, self.other):
            authority.create_root(root)
            self._issue(root)
        self.old.mkdir()
        for name in ("ca.pem", "ca.key"):
            (self.old / name).write_bytes((self.own / name).read_bytes())
            (self.old / name).chmod(0o600)
        with monkeypatch.context() as then:
            then.setattr(certificates, "SKEW", timedelta(days=9))
            self._issue(self.old, days=-1)

    def _issue(self, root: Path, days: int = 90) -> None:
        authority.issue_gateway(root, days=days)
        authority.issue_cluster(root, "beijing", days=days)
        authority.issue_cluster(root, "shanghai", days=days)

    def client(self, of: Path | None = None) -> ssl.SSLContext:
        """Returns a TLS context that shows the gateway's certificate in `of` and trusts our root."""
        shown = tls.gateway_credentials(of or self.own)
        return tls.client_context(structs.replace(shown, root=self.own / "ca.pem"))


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(tmp_path, monkeypatch)


@asynccontextmanager
async def bytes_sender(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async with sending(answer, context) as port:
        yield f"https://{HOST}:{port}"


@asynccontextmanager
async def nobody() -> AsyncIterator[str]:
    async with bytes_sender(b"") as address:
        pass
    yield address


def cluster(folder: Path, name: str = "beijing") -> Address:
    return served(ScriptedCluster(), folder, region=name)


CASES: dict[str, tuple[Callable[[Deployment], Address], Callable[[Deployment], ssl.SSLContext], str]] = {
    "expired": (
        lambda ours: cluster(ours.old),
        Deployment.client,
        "Forbidden (the cluster's certificate is not accepted: certificate has expired)",
    ),
    "unknown root": (
        lambda ours: cluster(ours.other),
        Deployment.client,
        "Forbidden (the cluster's certificate is not accepted: self-signed certificate in certificate chain)",
    ),
    "wrong name": (
        lambda ours: cluster(ours.own, "shanghai"),
        Deployment.client,
        "Forbidden (the cluster's certificate is not accepted: Hostname mismatch,"
        " certificate is not valid for 'beijing.clusters.waypost.internal')",
    ),
    "our own has expired": (
        lambda ours: cluster(ours.own),
        lambda ours: ours.client(ours.old),
        "Forbidden (the cluster does not accept our certificate: certificate expired)",
    ),
    "ours is of an unknown root": (
        lambda ours: cluster(ours.own),
        lambda ours: ours.client(ours.other),
        "Forbidden (the cluster does not accept our certificate: unknown ca)",
    ),
    "we show none": (
        lambda ours: cluster(ours.own),
        lambda ours: ssl.create_default_context(cafile=ours.own / "ca.pem"),
        "Forbidden (the cluster does not accept our certificate: certificate required)",
    ),
    "plain HTTP": (
        lambda _: bytes_sender(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Deployment.client,
        "Unreachable (what answers at this address does not speak TLS)",
    ),
    "closed port": (lambda _: nobody(), Deployment.client, "Unreachable (Connection refused: {address})"),
}


@pytest.mark.parametrize(("server", "client", "cause"), CASES.values(), ids=CASES.keys())
async def test_the_cause_is_in_the_log_and_wherever_the_region_is_shown(
    ours: Deployment,
    services: Services,
    server: Callable[[Deployment], Address],
    client: Callable[[Deployment], ssl.SSLContext],
    cause: str,
) -> None:
    """Most of them were "All connection attempts failed", which sends people to the network's cables."""
    there, came, lines = region(), asyncio.Event(), list[str]()
    async with (
        server(ours) as address,
        EmbeddedCluster(address, region="beijing", tls=client(ours), store=store) as adapter,
        RegionLink("beijing", adapter, settings=HEALTH, wake=came.set) as link,
    ):
        for _ in range(HEALTH.failures_down):
            came.clear()
            link.probe()
            await asyncio.wait_for(came.wait(), 10)
            for report in link.drain():
                update_health(there, report, settings=HEALTH, dice=lambda: 0.5)
    sink = logger.add(lines.append, format="{level} {message}")
    log_conditions([there])
    log_conditions([there])
    logger.remove(sink)
    view: RegionView = there.view(NOW, HEALTH, inflight=0)
    shown = structs.replace(services, regions=lambda: [view])
    transport = httpx.ASGITransport(internal_api(shown, {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as internal:
        ready = await internal.get("/readyz?verbose")

    where = address.removeprefix("https://") if isinstance(address, str) else ""
    reason = f"3 probes failed: {cause.format(address=where)}"
    assert (view.condition, view.reason) == (RegionCondition.UNREACHABLE, reason)
    assert lines == [f"WARNING region beijing is Unreachable: {reason}\n"]
    assert f"beijing Unreachable ({reason})" in ready.text
