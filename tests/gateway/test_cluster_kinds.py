"""Tests that another kind of cluster needs one registry entry and settings of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from msgspec import Struct, structs

from clusters import registry
from clusters.errors import ClusterError
from clusters.interface import RegionConnection
from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.registry import CLUSTER_KINDS, ClusterKind
from gateway.app import compose
from gateway.identity.development_issuer import mint_token
from gateway.settings import GatewaySettings, RegionTarget, Secret
from gateway.settings_loading import load_settings
from gateway.start_error import StartError
from tests.gateway.api.callers import answered
from waypost.workflow.run_types import DeclaredExecutors, DelayRun

URL = "temporal+https://temporal.internal:7233"


class TemporalSettings(Struct, frozen=True, kw_only=True):
    """The settings type of an example kind of cluster, with a token."""

    token_file: str
    namespace: str = "default"


class TemporalCluster:
    """An example adapter that is created and never calls anything. It satisfies `ClusterAdapter`."""

    made: list[tuple[str, str, str, str]]

    def __init__(self, connection: RegionConnection, settings: TemporalSettings) -> None:
        try:
            token = Path(settings.token_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"token_file: {error.strerror}") from error
        self.made.append((connection.region, connection.address, settings.namespace, token))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def apply(self, batch: Batch) -> BatchAnswers:
        raise ClusterError("Unavailable")

    async def attempts(self) -> Hello:
        raise ClusterError("Unavailable")

    async def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        raise ClusterError("Unavailable")
        yield

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        raise ClusterError("Unavailable")
        yield

    async def probe(self) -> ClusterStatus:
        raise ClusterError("Unavailable")


@pytest.fixture(autouse=True)
def temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the example kind of cluster."""
    executors = DeclaredExecutors(run_types={"delay": DelayRun}, exclusive=frozenset())
    kind = ClusterKind(executors=lambda: executors, settings=TemporalSettings, adapter=TemporalCluster)
    monkeypatch.setattr(TemporalCluster, "made", [], raising=False)
    monkeypatch.setattr(registry, "CLUSTER_KINDS", {**CLUSTER_KINDS, "temporal+https": kind})


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"))


async def test_another_kind_of_cluster_with_a_token_is_one_entry(tmp_path: Path) -> None:
    """It brings its settings, and needs no certificate of the gateway."""
    (tmp_path / "token").write_text("swordfish\n")
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'store = "sqlite:{tmp_path / "gateway.db"}"\n[[regions]]\nname = "beijing"\nurl = "{URL}"\n'
        f'[regions.cluster]\ntoken_file = "{tmp_path / "token"}"\nnamespace = "nightly"\n'
    )
    settings = load_settings(file, {})
    assert settings.pki is None
    async with compose(settings):
        assert TemporalCluster.made == [("beijing", "temporal.internal:7233", "nightly", "swordfish")]
    assert "swordfish" not in repr(settings)


async def test_a_workflow_of_an_engine_goes_to_regions_with_such_clusters(
    settings: GatewaySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is the first word of a region's URL: nothing else has to name it."""
    monkeypatch.setattr(
        registry,
        "CLUSTER_KINDS",
        {**registry.CLUSTER_KINDS, "argo": registry.CLUSTER_KINDS["temporal+https"]},
    )
    (tmp_path / "token").write_text("swordfish\n")
    cluster = {"token_file": str(tmp_path / "token")}
    urls = {"beijing": URL, "shanghai": "argo://argo.internal"}
    regions = tuple(RegionTarget(name=name, url=url, cluster=cluster) for name, url in urls.items())
    development = tmp_path / "dev"
    asked = {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "nightly"},
        "spec": {"engine": "temporal", "tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}]},
    }
    async with (
        compose(structs.replace(settings, regions=regions, development=str(development))) as gateway,
        httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as client,
    ):
        token = mint_token(development, subject="ada", tenant="demo", scopes=("workflows:submit",))
        client.headers["authorization"] = f"Bearer {token}"
        answer = (await answered(client, "POST", "/v1/runs", params={"dryRun": "true"}, json=asked)).json()
    assert {region["name"]: region["rejected"] for region in answer["regions"]} == {
        "beijing": "not heard of yet",
        "shanghai": "not of the engine temporal",
    }


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (RegionTarget(name="beijing", url=URL), "missing required field `token_file`"),
        (
            RegionTarget(name="beijing", url=URL, cluster={"token_file": "/nowhere"}),
            "token_file: No such file",
        ),
        (
            RegionTarget(name="beijing", url=URL, cluster={"token": "x"}),
            "no setting token; did you mean token_file",
        ),
        (
            RegionTarget(name="beijing", url=URL.replace("//", "//ada:swordfish@")),
            "its URL holds a user or a pass",
        ),
    ],
)
async def test_a_region_whose_settings_cannot_be_used_stops_the_start(
    settings: GatewaySettings, target: RegionTarget, why: str
) -> None:
    """It would look like a region that is lost. The error names the region, and no secret."""
    with pytest.raises(StartError, match=f"the setting regions: beijing: .*{why}") as refused:
        async with compose(structs.replace(settings, regions=(target,))):
            pass
    assert "swordfish" not in str(refused.value)


async def test_a_region_that_is_reached_by_certificates_needs_them(settings: GatewaySettings) -> None:
    """Whatever other regions need."""
    target = RegionTarget(name="beijing", url="embedded+https://127.0.0.1:1")
    with pytest.raises(StartError, match="the setting pki is missing"):
        async with compose(structs.replace(settings, regions=(target,))):
            pass
