"""Tests every example of values: Helm, Kubernetes, the gateway and the command line take what comes of it."""

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from clusters.embedded.artifacts.settings import artifact_settings
from clusters.embedded.main import ClusterSettings
from clusters.registry import cluster_adapter
from gateway.__main__ import app
from gateway.settings import GatewaySettings
from gateway.settings_loading import load_settings
from helm.tools import find_schemas
from tests.helm.rendering import EXAMPLES, NAMES, Object, containers, of_kind, run_helm
from tests.observability.prometheus_files import alerts, program

pytestmark = pytest.mark.integration
Example = Callable[[str], list[Object]]
OTHERS = {"monitoring.coreos.com/v1", "monitoring.coreos.com/v1alpha1", "cert-manager.io/v1"}
"""The API groups of operators, of which Kubernetes has no schemas."""


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_helm_finds_no_fault_in_an_example(chart: Path, path: Path) -> None:
    """Not even one that it would only warn of."""
    run_helm("lint", "--strict", chart, "--values", path)


@cache
def kubernetes_schemas() -> Registry[Any]:
    folder = find_schemas()
    if folder is None:
        pytest.skip("needs the schemas of Kubernetes: `make helm` takes them")
    definitions = Resource.from_contents(json.loads((folder / "_definitions.json").read_text()))
    registry: Registry[Any] = Registry()
    registry = registry.with_resource("/api/_definitions.json", definitions)
    return registry


def schema_of(made: Object) -> dict[str, Any]:
    group, _, version = made["apiVersion"].rpartition("/")
    name = "-".join(part for part in (made["kind"].lower(), group.removesuffix(".k8s.io"), version) if part)
    folder = find_schemas()
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_one_of_kubernetes(example: Example, name: str) -> None:
    """With no field that Kubernetes does not know: it would drop some of them silently."""
    registry = kubernetes_schemas()
    wrong = [
        f"{made['kind']} {made['metadata']['name']}: {error.json_path}: {error.message[:200]}"
        for made in example(name)
        if made["apiVersion"] not in OTHERS
        for error in Draft202012Validator(schema_of(made), registry=registry).iter_errors(made)
    ]
    assert wrong == []


def settings_of(objects: list[Object], folder: Path) -> GatewaySettings:
    """Returns the settings that the gateway of a release reads, secrets with a value of the test."""
    (gateway,) = (one for one in containers(objects) if one["name"] == "gateway")
    (made,) = (one for one in of_kind(objects, "ConfigMap") if "gateway.toml" in one["data"])
    (folder / "gateway.toml").write_text(made["data"]["gateway.toml"])
    environment = {variable["name"]: "a secret of the test" for variable in gateway.get("env", ())}
    return load_settings(folder / "gateway.toml", environment)


WITH_GATEWAY = [name for name in NAMES if name != "region"]


@pytest.mark.parametrize("name", WITH_GATEWAY)
def test_a_gateway_takes_its_settings(example: Example, name: str, tmp_path: Path) -> None:
    """Read as a gateway reads them; the regions' own by their kind of cluster."""
    settings = settings_of(example(name), tmp_path)
    values = yaml.safe_load((next(path for path in EXAMPLES if path.stem == name)).read_text())
    assert [region.name for region in settings.regions] == [one["name"] for one in values["regions"]]
    assert settings.listen.host == "0.0.0.0"
    assert settings.store.reveal() == "sqlite:/var/lib/waypost/gateway.db"
    services = {made["metadata"]["name"] for made in of_kind(example(name), "Service")}
    for region in settings.regions:
        host = region.url.removeprefix("embedded+https://").partition(".")[0]
        assert host in services or ".example" in region.url
        with pytest.raises(RuntimeError, match="reached"):
            cluster_adapter(Reached(region.url), region.cluster)  # type: ignore[arg-type]


class Reached:
    """A connection whose certificates are asked for only once URL and settings were taken."""

    def __init__(self, url: str) -> None:
        self.url, self.address, self.region, self.store = url, url.partition("://")[2], "one", None

    def mutual_tls(self) -> None:
        raise RuntimeError("reached")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_of_the_image(example: Example, name: str) -> None:
    """With options that it has: parsed as the command line parses them."""
    for container in containers(example(name)):
        if container["name"] != "opa":
            words = [*container["command"], *container.get("args", ())]
            assert words[0] == "waypost"
            command, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
            if command.__name__ == "cluster":
                given = dict(bound.arguments)
                given["executors"] = given.pop("executor", {})
                given["artifacts"] = artifact_settings(given.pop("storage", {}), {})
                # A folder of the pod, which this machine has not.
                assert given.pop("secrets", {"files": ""}).keys() == {"files"}
                ClusterSettings(**given | {name: str(given[name]) for name in ("state", "pki")})


def test_a_secret_setting_comes_from_a_secret(example: Example, tmp_path: Path) -> None:
    """By its variable in the environment; the ConfigMap does not have it."""
    objects = example("monitoring")
    (gateway,) = (one for one in containers(objects) if one["name"] == "gateway")
    assert gateway["env"] == [
        {
            "name": "WAYPOST_ROLLBACK__ALERTS_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "waypost-alerts", "key": "token"}},
        }
    ]
    token = settings_of(objects, tmp_path).rollback.alerts_token
    assert token is not None
    assert token.reveal() == "a secret of the test"


def test_the_operator_gets_all_rules_that_ship(example: Example, tmp_path: Path) -> None:
    """With the addresses of runbooks and dashboards before their paths, and as promtool takes them."""
    (made,) = of_kind(example("monitoring"), "PrometheusRule")
    rules = [rule for group in made["spec"]["groups"] for rule in group["rules"]]
    found = {rule["alert"]: rule["annotations"] for rule in rules if "alert" in rule}
    assert found.keys() == alerts().keys()
    for name, annotations in found.items():
        assert annotations["runbook_url"].startswith("https://wiki.example/waypost/docs/runbooks/"), name
        assert annotations["dashboard_url"].startswith("https://grafana.example/d/"), name
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(made["spec"]))
    subprocess.run([program("promtool"), "check", "rules", tmp_path / "rules.yml"], check=True)
