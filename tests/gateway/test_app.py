"""Tests the composition of a gateway: plug-ins by the scheme of a URL, and trusted issuers."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs
from starlette.types import ASGIApp

from clusters import registry
from gateway import app
from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.app import compose
from gateway.ended_run_settings import RetentionSettings
from gateway.identity.development_issuer import mint_token
from gateway.policy.opa.bundle_archive import manifest_of, unpack
from gateway.settings import GatewaySettings, Issuer, PolicySettings, RegionTarget, Secret
from gateway.start_error import StartError
from tests.gateway.policy.opa.faulty_opa import faulty_opa
from tests.gateway.policy.opa.keys import write_public_key
from tests.gateway.policy.rollout.releases import archive, rules
from waypost.pki import authority
from waypost.worker_pool import WorkerPool
from waypost.workflow.run_types import DeclaredExecutors, DelayRun

EMBEDDED = "embedded+https://127.0.0.1:1"
ISSUER = Issuer(url="https://issuer.test", keys="keys.json")
OTHER = "other+https://127.0.0.1:1"


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"), development=str(tmp_path / "dev")
    )


async def refusals(settings: GatewaySettings, *asked: tuple[str, str]) -> list[list[str]]:
    """Submits a document of one task for each type and engine, and returns the errors of each."""
    assert settings.development is not None
    scopes = ("workflows:submit", "workflows:read")
    found = []
    async with (
        compose(settings) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as client,
    ):
        token = mint_token(Path(settings.development), subject="ada", tenant="demo", scopes=scopes)
        client.headers["authorization"] = f"Bearer {token}"
        for name, engine in asked:
            document: dict[str, Any] = {
                "apiVersion": "waypost/v1",
                "kind": "Workflow",
                "metadata": {"name": "nightly"},
                "spec": {"engine": engine, "tasks": [{"name": "a", "type": name, "run": {"seconds": 0}}]},
            }
            answer = (await client.post("/v1/runs", json=document)).json()
            found.append([error["detail"] for error in answer.get("errors", ())])
    return found


@pytest.mark.integration
async def test_a_scrape_shows_what_the_controller_knows(settings: GatewaySettings) -> None:
    """Alerts stand on it; it is looked up at the scrape, not at each pass."""
    async with (
        compose(settings) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.internal_api), base_url="http://g") as client,
    ):
        shown = (await client.get("/metrics")).text
    assert "waypost_store_writable 1.0\n" in shown


async def test_the_processes_that_read_documents_start_with_the_gateway(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first large submission would wait half a second for them."""
    started: list[WorkerPool] = []
    monkeypatch.setattr(WorkerPool, "start", lambda pool: started.append(pool))
    async with compose(settings):
        assert len(started) == 1


async def test_a_place_is_left_to_other_tenants_everywhere(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others ask, a tenant has one of the requests at once; and never the last large document."""
    composed: list[Services] = []

    def noted(services: Services) -> ASGIApp:
        composed.append(services)
        return api(services)

    monkeypatch.setattr(app, "api", noted)
    async with compose(settings):
        (services,) = composed
    places = settings.tenants.requests_at_once
    alone = [services.turns.take("loud") for _ in range(places)].count(True)
    assert alone == places - places // 4, "the others are free for a tenant that comes"
    for _ in range(alone):
        services.turns.leave("loud")
    assert services.turns.take("quiet")
    assert [services.turns.take("loud") for _ in range(2)] == [True, False]
    while services.large_documents.take("loud"):
        pass
    assert services.large_documents.take("quiet")


@pytest.mark.parametrize("url", ["oracle:u:swordfish@h", "swordfish", "sqlite:"])
async def test_an_unknown_store_stops_the_start_with_those_there_are(url: str) -> None:
    """The setting itself is a secret."""
    with pytest.raises(StartError, match=r"there are: .*sqlite:PATH") as refused:
        async with compose(GatewaySettings(store=Secret(url))):
            pass
    assert "swordfish" not in str(refused.value)


async def test_an_unknown_policy_engine_stops_the_start_with_those_there_are(
    settings: GatewaySettings,
) -> None:
    """A misspelt engine must not end in another one's decisions."""
    with pytest.raises(StartError, match=r"there are: .*embedded"):
        async with compose(GatewaySettings(store=settings.store, policy=PolicySettings(engine="opa"))):
            pass


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (PolicySettings(engine="opa+http://opa.example:8181"), "plain http is for an OPA on this machine"),
        (PolicySettings(engine="opa+unix:opa.sock"), "full path of a socket"),
        (PolicySettings(engine="opa+http://127.0.0.1:8181", folder="policies"), "OPA holds its own rules"),
        (PolicySettings(engine="opa+http://127.0.0.1:8181", data="data.json"), "OPA holds its own rules"),
        (PolicySettings(engine="opa+https://127.0.0.1:8181", ca=""), "policy.ca: .* is empty"),
        (PolicySettings(engine="opa+https://127.0.0.1:8181", ca="/none.pem"), "policy.ca: cannot read"),
        (PolicySettings(engine="opa+https://127.0.0.1:8181", ca="/dev/null"), "policy.ca: .* holds no"),
    ],
)
async def test_an_opa_that_cannot_be_asked_stops_the_start(
    settings: GatewaySettings, policy: PolicySettings, why: str
) -> None:
    """Rules that are set and never asked would look like rules in force."""
    with pytest.raises(StartError, match=f"policy.engine: .*{why}"):
        async with compose(GatewaySettings(store=settings.store, policy=policy)):
            pass


UNIX = "opa+unix:/none.sock"


@pytest.mark.parametrize(
    "policy",
    [
        PolicySettings(candidate_engine=UNIX),
        PolicySettings(engine=UNIX, candidate_engine="embedded"),
        PolicySettings(engine=UNIX, candidate_engine="opa+http://opa.example:8181"),
    ],
)
async def test_what_cannot_try_bundles_out_stops_the_start(
    settings: GatewaySettings, policy: PolicySettings
) -> None:
    """A second OPA beside an OPA, or none."""
    with pytest.raises(StartError, match=r"policy\.candidate_engine"):
        async with compose(GatewaySettings(store=settings.store, policy=policy)):
            pass


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (PolicySettings(engine=UNIX, bundle="b.tar.gz"), "policy.bundle_key is missing"),
        (PolicySettings(bundle="b.tar.gz"), "policy.bundle_key is missing"),
    ],
)
async def test_a_bundle_that_nobody_could_trust_stops_the_start(
    settings: GatewaySettings, policy: PolicySettings, why: str
) -> None:
    """Outside development rules are signed, whatever evaluates them."""
    with pytest.raises(StartError, match=why):
        async with compose(GatewaySettings(store=settings.store, policy=policy)):
            pass


@pytest.mark.integration
async def test_a_gateway_serves_its_bundle_on_the_internal_port(
    settings: GatewaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OPA fetches it; the port that callers reach has none. A start does not wait until OPA has."""
    monkeypatch.delattr("gateway.policy.rollout.bundle_engines.OpaEngines.wait_until_held")
    # Another process does.
    monkeypatch.delattr("gateway.policy.rollout.bundle_gate.BundleGate.check")
    bundle = tmp_path / "policy.tar.gz"
    bundle.write_bytes(archive(7, rules("r")))
    async with faulty_opa(tmp_path) as opa:
        policy = PolicySettings(
            engine=f"opa+unix:{opa.address.socket}",
            bundle=str(bundle),
            bundle_key=str(write_public_key(tmp_path / "key")),
        )
        async with compose(GatewaySettings(store=settings.store, policy=policy)) as gateway:
            inside = await got(gateway.internal_api, "/bundles/policy.tar.gz")
            outside = await got(gateway.api, "/bundles/policy.tar.gz")
            ready = await got(gateway.internal_api, "/readyz?verbose")
    assert (inside.status_code, outside.status_code) == (200, 404)
    assert inside.content == bundle.read_bytes()
    served = manifest_of(unpack(inside.content)).revision
    assert f"policy: revision rev1, {policy.engine}; not taken yet: revision {served}\n" in ready.text


async def got(app: ASGIApp, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        return await client.get(path)


async def test_an_unknown_kind_of_cluster_stops_the_start_with_those_there_are(
    settings: GatewaySettings, tmp_path: Path
) -> None:
    """A region that is set up wrong would look like one that is lost."""
    authority.create_root(tmp_path / "pki")
    authority.issue_gateway(tmp_path / "pki")
    regions = (RegionTarget(name="beijing", url=OTHER),)
    with pytest.raises(StartError, match=r"there are: .*embedded\+https"):
        async with compose(GatewaySettings(store=settings.store, pki=str(tmp_path / "pki"), regions=regions)):
            pass


@pytest.mark.integration
async def test_documents_are_checked_by_what_the_configured_clusters_declare(
    settings: GatewaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what the embedded one can run; without a region by what every kind declares."""
    authority.create_root(tmp_path / "pki")
    authority.issue_gateway(tmp_path / "pki")
    executors = DeclaredExecutors(run_types={"image": DelayRun}, exclusive=frozenset())
    embedded = registry.CLUSTER_KINDS["embedded+https"]
    other = structs.replace(embedded, executors=lambda: executors)
    monkeypatch.setattr(registry, "CLUSTER_KINDS", {**registry.CLUSTER_KINDS, "other+https": other})

    async def known(*urls: str, engines: tuple[str, str] = ("any", "any")) -> list[bool]:
        regions = tuple(RegionTarget(name=f"r{n}", url=url) for n, url in enumerate(urls))
        configured = GatewaySettings(
            store=settings.store,
            development=settings.development,
            pki=str(tmp_path / "pki"),
            regions=regions,
        )
        found = await refusals(configured, *zip(("image", "delay"), engines, strict=True))
        return [not any("not a known" in one or "no region has" in one for one in each) for each in found]

    assert await known(OTHER) == [True, False]
    assert await known(EMBEDDED) == [False, True]
    assert await known(EMBEDDED, OTHER, engines=("other", "embedded")) == await known() == [True, True]
    assert await known(OTHER, engines=("embedded", "any")) == [False, False]


@pytest.mark.parametrize(
    ("issuers", "detail"),
    [
        (
            (ISSUER, Issuer(url="https://issuer.test", keys="other.json", audience="other")),
            "two issuers have the same url",
        ),
        (
            (Issuer(url="https://other.test", keys="http://other.test/jwks"),),
            "https://other.test: its keys must come by https",
        ),
        (
            (Issuer(url="https://other.test", keys="https://u:hunter2@other.test/jwks"),),
            "https://other.test: its keys must come by https",
        ),
    ],
)
async def test_an_issuer_that_cannot_be_trusted_stops_the_start(
    settings: GatewaySettings, issuers: tuple[Issuer, ...], detail: str
) -> None:
    """Of two with one url the last would win in silence; keys that came in the clear could be anybody's."""
    with pytest.raises(StartError, match=detail) as refused:
        async with compose(GatewaySettings(store=settings.store, issuers=issuers)):
            pass
    assert "hunter2" not in str(refused.value)


async def test_nothing_is_deleted_without_an_archive(settings: GatewaySettings, tmp_path: Path) -> None:
    """By default nothing is deleted at all; a limit without a folder stops the start."""
    async with compose(settings) as gateway:
        assert "retention" not in gateway.loops
    limited = structs.replace(settings, retention=RetentionSettings(runs_days=30))
    with pytest.raises(StartError, match=r"retention\.archive names no folder"):
        async with compose(limited):
            pass
    limited = structs.replace(
        settings, retention=RetentionSettings(runs_days=30, archive=str(tmp_path / "a"))
    )
    async with compose(limited) as gateway:
        assert "retention" in gateway.loops
    of_trail = RetentionSettings(audit_days=30, archive=str(tmp_path / "a"))
    with pytest.raises(StartError, match=r"audit\.key names no key"):
        async with compose(structs.replace(settings, retention=of_trail)):
            pass
