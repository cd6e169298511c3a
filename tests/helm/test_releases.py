"""Tests releases of the chart on a real control plane: pods are made, become ready, and are exchanged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.api_server import NAMESPACE, ApiServer, api_server
from tests.helm.played_nodes import played_nodes, ready_pods, wait_until_gone
from tests.helm.rendering import EXAMPLES, run_helm

pytestmark = pytest.mark.integration

CHANGE = ("--set", "gateway.settings.health.probe_interval_seconds=1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("kubernetes")
    with api_server(folder) as running, played_nodes(running, folder):
        yield running


@pytest.mark.timeout(600)
def test_pods_of_a_release_are_ready_and_exchanged_with_each_change(server: ApiServer, chart: Path) -> None:
    """Helm waits for readiness itself: a pod that no node takes, or a claim without volume, fails it here."""
    (values,) = (path for path in EXAMPLES if path.stem == "three-regions")
    where = ["--namespace", NAMESPACE, "--kubeconfig", str(server.kubeconfig), "--wait", "--timeout", "3m"]

    def helm(*words: str | Path) -> None:
        run_helm(*words, *where, timeout=200)

    helm("install", "waypost", chart, "--values", values)
    installed = ready_pods(server)
    assert {"waypost-gateway-0"} <= installed.keys()
    assert len([name for name in installed if name.startswith("waypost-")]) >= 4

    helm("upgrade", "waypost", chart, "--values", values, *CHANGE)
    upgraded = ready_pods(server)
    assert upgraded.keys() == installed.keys()
    changed = {name for name in installed if upgraded[name] != installed[name]}
    assert changed == {"waypost-gateway-0"}  # no region is started anew for a setting of the gateway

    helm("rollback", "waypost", "1")
    assert ready_pods(server) == installed
    helm("uninstall", "waypost")
    wait_until_gone(server)
