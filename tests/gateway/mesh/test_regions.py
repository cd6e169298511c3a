"""Tests hosts with an ingress gateway in each of several regions."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.mesh.reading import MeshError
from gateway.mesh.regions import read_regions, render_regions

EXAMPLE: Final = Path(__file__).parents[3] / "examples" / "mesh" / "regions.yaml"


def rendered(change: Callable[[dict[str, Any]], object] = lambda _: None) -> list[Any]:
    described = copy.deepcopy(yaml.safe_load(EXAMPLE.read_text()))
    change(described["waypost"])
    hosts = read_regions("regions.yaml", yaml.safe_dump(described).encode())
    return [one["spec"] for one in render_regions("waypost", hosts["waypost"], source="regions.yaml")]


def test_a_gateway_that_fails_is_taken_out_and_another_region_takes_over() -> None:
    entry, rule = rendered()
    assert [(one["address"], one["locality"]) for one in entry["endpoints"]] == [
        ("ingress.beijing.example.com", "cn-north/beijing"),
        ("ingress.shanghai.example.com", "cn-east/shanghai"),
        ("ingress.shenzhen.example.com", "cn-south/shenzhen"),
    ]
    policy = rule["trafficPolicy"]
    assert (entry["hosts"], rule["host"]) == (["waypost.example.com"], "waypost.example.com")
    assert policy["loadBalancer"]["localityLbSetting"] == {
        "enabled": True,
        "failover": [
            {"from": "cn-north", "to": "cn-east"},
            {"from": "cn-east", "to": "cn-south"},
            {"from": "cn-south", "to": "cn-east"},
        ],
    }
    assert policy["outlierDetection"] == {
        "consecutive5xxErrors": 3,
        "consecutiveGatewayErrors": 3,
        "interval": "5s",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 100,
    }
    assert policy["tls"] == {
        "mode": "SIMPLE",
        "caCertificates": "system",
        "sni": "waypost.example.com",
        "subjectAltNames": ["waypost.example.com"],
    }


def test_without_a_failover_all_others_take_over() -> None:
    _, rule = rendered(lambda host: [one.pop("failover") for one in host["gateways"]])
    assert rule["trafficPolicy"]["loadBalancer"]["localityLbSetting"] == {"enabled": True}
    assert rule["trafficPolicy"]["outlierDetection"]


def test_gateways_may_have_the_certificates_of_the_mesh() -> None:
    entry, rule = rendered(lambda host: host.update(tls="istio"))
    assert entry["location"] == "MESH_INTERNAL"
    assert rule["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL", "sni": "waypost.example.com"}


def gateway(index: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda host: host["gateways"][index].update(changes)


REFUSED = {
    "a region twice": (gateway(0, region="shanghai"), "/waypost/gateways", "a region twice"),
    "an unknown region": (gateway(0, failover="x"), "/waypost/gateways/0/failover", "is no region here"),
    "itself": (gateway(0, failover="beijing"), "/waypost/gateways/0/failover", "the same locality"),
    "its own locality": (
        gateway(1, locality="cn-north/b"),
        "/waypost/gateways/0/failover",
        "the same locality",
    ),
    "one alone": (
        lambda host: host.update(gateways=host["gateways"][:1]),
        "/waypost/gateways",
        "at least 2 items",
    ),
    "a wildcard": (gateway(0, locality="*"), "/waypost/gateways/0/locality", "is not a locality"),
    "a part too many": (gateway(0, locality="a/b/c/d"), "/waypost/gateways/0/locality", "is not a locality"),
    "a short host": (lambda host: host.update(host="waypost"), "/waypost/host", "in full"),
    "roots without a place": (
        lambda host: host.update(caCertificates="ca.pem"),
        "/waypost/caCertificates",
        "a file",
    ),
    "no ejection": (
        lambda host: host["outliers"].update(maximumEjectionPercent=0),
        "/waypost/outliers/maximumEjectionPercent",
        "at least 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_istio_would_refuse_or_never_fail_over_is_refused(case: str) -> None:
    change, pointer, part = REFUSED[case]
    with pytest.raises(MeshError) as refused:
        rendered(change)
    assert any(one.pointer == pointer and part in one.detail for one in refused.value.problems), str(
        refused.value
    )


def test_gateways_of_one_locality_fail_over_to_one() -> None:
    """Istio has one failover for each."""

    def two_ways(host: dict[str, Any]) -> None:
        more = {
            "region": "tianjin",
            "address": "a.example.com",
            "locality": "cn-north/tianjin",
            "failover": "shenzhen",
        }
        host["gateways"].append(more)

    with pytest.raises(MeshError, match="/waypost/gateways/3/failover: leads from cn-north to another"):
        rendered(two_ways)


@pytest.mark.parametrize("content", [b"", b"- 1", b"a: 1", b"A: {}", b"x: [", b"1: {}"])
def test_what_is_no_file_of_hosts_is_refused(content: bytes) -> None:
    with pytest.raises(MeshError, match=r"regions\.yaml: "):
        read_regions("regions.yaml", content)
