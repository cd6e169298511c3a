"""Tests what is rendered on a real API server of Kubernetes that has Istio's own types.

CI skips them, since building the server takes a quarter of an hour: `make kubernetes`.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.mesh.manifest import parse_manifest
from gateway.mesh.regions import read_regions, render_regions
from gateway.mesh.rendering import Resource, render_all
from tests.gateway.cli.mesh.test_services import REGIONS, SERVICES, ended
from tests.gateway.mesh.service_files import shipped
from tests.gateway.mesh.test_hazards import FIXTURES
from tests.helm.api_server import ApiServer, api_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
NAMESPACES = ("analytics", "finance", "istio-ingress", "istio-system", "payments", "shop")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("server")) as running:
        if running.client.get("/apis/security.istio.io/v1").is_error:
            pytest.skip("has no types of Istio: `make kubernetes`")
        for name in NAMESPACES:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.apply(namespace, dry_run=False) == ""
        yield running


def rendered() -> list[Resource]:
    hosts = read_regions("mesh/regions.yaml", REGIONS.read_bytes())
    regional = [
        one for name, host in hosts.items() for one in render_regions(name, host, source="mesh/regions.yaml")
    ]
    return [*(one for several in render_all(shipped()).values() for one in several), *regional]


def test_everything_that_is_rendered_is_accepted(server: ApiServer) -> None:
    """Strictly: an unknown field, a value that Istio's types refuse, would be named."""
    assert [refusal for one in rendered() if (refusal := server.apply(one, dry_run=True))] == []


def test_a_field_that_istio_does_not_have_is_refused(server: ApiServer) -> None:
    """So the test above means something."""
    policy = copy.deepcopy(next(one for one in rendered() if one["kind"] == "AuthorizationPolicy"))
    policy["spec"]["rules"][0]["fromm"] = []
    assert "fromm" in server.apply(policy, dry_run=True)
    rule = copy.deepcopy(rendered()[-1])
    rule["spec"]["trafficPolicy"]["outlierDetection"]["interval"] = "soon"
    assert "interval" in server.apply(rule, dry_run=True)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_the_server_takes_every_hazard(server: ApiServer, fixture: Path) -> None:
    """That is why they are looked for."""
    objects = parse_manifest(fixture.read_bytes())
    assert [refusal for one in objects if (refusal := server.apply(one, dry_run=True))] == []


def test_a_live_cluster_is_compared(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As rendered; with one scope less; with a policy of somebody else."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    words = ("check", SERVICES, "--regions", str(REGIONS), "--live")
    assert ended(*words) == 1
    assert "AuthorizationPolicy finance/finance: missing" in capsys.readouterr().out
    for one in rendered():
        assert server.apply(one, dry_run=False) == ""
    assert ended(*words) == 0
    policy = copy.deepcopy(next(one for one in rendered() if one["kind"] == "AuthorizationPolicy"))
    policy["spec"]["rules"][0]["when"].pop()
    assert server.apply(policy, dry_run=False) == ""
    debug = {**policy, "metadata": {"name": "debug", "namespace": "finance"}}
    assert server.apply(debug, dry_run=False) == ""
    assert ended(*words, "-o", "name") == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "AuthorizationPolicy finance/finance",
        "AuthorizationPolicy finance/debug",
    ]
