"""Tests the chart on a real API server: a strict dry run of each example, install, upgrade, rollback."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helm.api_server import NAMESPACE, ApiServer, api_server
from tests.helm.rendering import EXAMPLES, NAMES, Object, run_helm

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_every_object(
    server: ApiServer, example: Callable[[str], list[Object]], name: str
) -> None:
    """With the types of the operators too; a field that it does not know is an error."""
    assert [refused for made in example(name) if (refused := server.apply(made, dry_run=True))] == []


def test_a_bad_object_would_be_found(server: ApiServer, example: Callable[[str], list[Object]]) -> None:
    made = next(one for one in example("dev") if one["kind"] == "StatefulSet")
    changed = made | {"spec": made["spec"] | {"replicaz": 2}}
    assert "replicaz" in server.apply(changed, dry_run=True)
    other = made | {"spec": made["spec"] | {"selector": {"matchLabels": {"a": "b"}}}}
    assert "selector" in server.apply(other, dry_run=True)


def gateway_of(server: ApiServer) -> Any:
    (found,) = (
        one
        for one in server.listed("apis/apps/v1", "statefulsets")
        if one["metadata"]["name"] == "waypost-gateway"
    )
    return found["spec"]["template"]


def test_a_release_is_installed_upgraded_and_rolled_back(server: ApiServer, chart: Path) -> None:
    """Each makes the pod of the gateway anew where its settings change, and never changes what cannot be."""
    (values,) = (path for path in EXAMPLES if path.stem == "three-regions")
    where = ["--namespace", NAMESPACE, "--kubeconfig", str(server.kubeconfig)]
    run_helm("install", "waypost", chart, "--values", values, *where)
    installed = gateway_of(server)
    assert len(server.listed("apis/apps/v1", "statefulsets")) == 4
    change = ["--set", "gateway.settings.health.probe_interval_seconds=1"]
    run_helm("upgrade", "waypost", chart, "--values", values, *change, *where)
    assert gateway_of(server) != installed
    run_helm("rollback", "waypost", "1", *where)
    assert gateway_of(server) == installed
    run_helm("uninstall", "waypost", *where)
    assert server.listed("apis/apps/v1", "statefulsets") == []
