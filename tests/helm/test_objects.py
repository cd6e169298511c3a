"""Tests how the objects of a release fit together: Services, pods, ports, policies, times, settings."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.settings_loading import SettingsError, load_settings
from tests.helm.rendering import EXAMPLES, NAMES, Object, named, of_kind, rendered

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
Example = Callable[[str], list[Object]]


def pods(objects: list[Object]) -> dict[str, Any]:
    """Returns the pods of a release, with their labels, by the names of what makes them."""
    made = {one["metadata"]["name"]: one["spec"]["template"] for one in of_kind(objects, "StatefulSet")}
    return made | {one["metadata"]["name"]: one for one in of_kind(objects, "Pod")}


def selected(objects: list[Object], labels: dict[str, str]) -> set[str]:
    return {
        name for name, pod in pods(objects).items() if labels.items() <= pod["metadata"]["labels"].items()
    }


def ports(pod: Any) -> dict[str, int]:
    found = (port for container in pod["spec"]["containers"] for port in container.get("ports", ()))
    return {port["name"]: port["containerPort"] for port in found}


@pytest.mark.parametrize("name", NAMES)
def test_every_service_leads_to_a_port_of_its_pods(example: Example, name: str) -> None:
    objects = example(name)
    for service in of_kind(objects, "Service"):
        reached = selected(objects, service["spec"]["selector"])
        assert reached, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert all(port["targetPort"] in ports(pods(objects)[pod]) for pod in reached)


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_of_the_network_is_for_pods_and_ports_that_exist(example: Example, name: str) -> None:
    """One that selects no pod permits nothing, silently."""
    objects = example(name)
    for policy in of_kind(objects, "NetworkPolicy"):
        chosen = selected(objects, policy["spec"]["podSelector"]["matchLabels"])
        assert chosen, policy["metadata"]["name"]
        known = {number for pod in chosen for number in ports(pods(objects)[pod]).values()}
        used = {port["port"] for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]}
        assert used <= known


def test_a_gateway_may_reach_its_clusters_and_they_let_it_in(example: Example) -> None:
    objects = example("three-regions")
    out = named(objects, "NetworkPolicy", "waypost-gateway")["spec"]["egress"][0]
    into = named(objects, "NetworkPolicy", "waypost-clusters")["spec"]["ingress"][0]
    regions = {f"waypost-cluster-{region}" for region in ("beijing", "shanghai", "shenzhen")}
    assert selected(objects, out["to"][0]["podSelector"]["matchLabels"]) == regions
    assert selected(objects, into["from"][0]["podSelector"]["matchLabels"]) == {"waypost-gateway"}
    assert out["ports"] == into["ports"] == [{"port": 7101, "protocol": "TCP"}]


@pytest.mark.parametrize("name", NAMES)
def test_no_service_becomes_a_setting(example: Example, name: str) -> None:
    """Kubernetes describes Services in the environment: one named waypost would stop every start."""
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods(example(name)).values())
    with pytest.raises(SettingsError, match="there is no setting WAYPOST_PORT"):
        load_settings(None, {"WAYPOST_PORT": "tcp://10.0.0.7:8080"})


def test_a_pod_gets_the_time_that_its_end_takes(example: Example) -> None:
    """Of a gateway: out of the Service, then what is under way. Of a cluster: what its tasks get."""
    objects = example("three-regions")
    gateway, cluster = (
        pods(objects)["waypost-gateway"]["spec"],
        pods(objects)["waypost-cluster-beijing"]["spec"],
    )
    assert gateway["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}
    assert gateway["terminationGracePeriodSeconds"] == 10 + 10 + 15
    assert cluster["terminationGracePeriodSeconds"] == 10 + 20


def test_opa_starts_before_the_gateway_and_ends_after_it(example: Example) -> None:
    """What is under way at a shutdown is still decided. A startup probe would wait for the gateway."""
    (opa,) = pods(example("opa"))["waypost-gateway"]["spec"]["initContainers"]
    assert (opa["name"], opa["restartPolicy"]) == ("opa", "Always")
    assert "startupProbe" not in opa


@pytest.mark.parametrize(
    ("value", "anew"),
    [
        ("gateway.settings.health.probe_interval_seconds=1", True),
        ("policy.keyId=other", True),
        ("gateway.service.port=9000", False),
    ],
)
def test_a_gateway_is_replaced_where_its_settings_change(
    chart: Path, example: Example, value: str, *, anew: bool
) -> None:
    """And only there: the template of its pod is another."""
    (path,) = (path for path in EXAMPLES if path.stem == "opa")
    changed = pods(rendered(chart, "--values", path, "--set", value))
    assert (changed["waypost-gateway"] != pods(example("opa"))["waypost-gateway"]) is anew
    assert changed["waypost-cluster-beijing"] == pods(example("opa"))["waypost-cluster-beijing"]


def test_the_log_pipeline_reads_this_releases_pods(example: Example) -> None:
    """The pipeline is the one of observability/loki: its labels are bounded there."""
    objects = example("monitoring")
    found = named(objects, "ConfigMap", "waypost-logs")["data"]
    shipped = (ROOT / "observability" / "loki" / "pipeline.alloy").read_text()
    assert found["pipeline.alloy"].strip() == shipped.strip()
    (label,) = re.findall(r'label = "([^"]+)"', found["pods.alloy"])
    name, _, value = label.partition("=")
    assert selected(objects, {name: value}) == set(pods(objects))
    made = set(re.findall(r'^(\w+\.\w+(?:\.\w+)?) "waypost"', "\n".join(found.values()), re.MULTILINE))
    used = re.findall(r"(\w+\.\w+(?:\.\w+)?)\.waypost\.(?:receiver|targets)", "\n".join(found.values()))
    assert set(used) == made - {"loki.source.kubernetes"}
