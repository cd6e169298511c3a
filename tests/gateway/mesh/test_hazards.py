"""Tests that each hazard of Istio's resources is found, and that what is rendered has none."""

from pathlib import Path
from typing import Any

import pytest

from gateway.mesh.evaluation import evaluate, pods_of
from gateway.mesh.hazards import find_hazards
from gateway.mesh.manifest import parse_manifest
from gateway.mesh.rendering import Resource, render_all
from gateway.mesh.request import Request
from tests.gateway.mesh.service_files import shipped

FIXTURES = sorted((Path(__file__).parent / "hazards").glob("*.yaml"))


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_a_hazard_is_found_and_nothing_else(fixture: Path) -> None:
    """Each fixture has one, and is named by it."""
    found = find_hazards(parse_manifest(fixture.read_bytes()))
    assert {one.hazard for one in found} == {fixture.stem}, found


def test_what_is_rendered_has_no_hazard() -> None:
    for name, resources in render_all(shipped()).items():
        tcp = frozenset(shipped().services[name].ports.tcp)
        assert find_hazards(resources, tcp_ports=tcp) == []


def policy(rule: dict[str, Any], action: str = "ALLOW") -> Resource:
    spec = {"selector": {"matchLabels": {"app": "a"}}, "action": action, "rules": [rule]}
    return {"kind": "AuthorizationPolicy", "metadata": {"name": "a", "namespace": "n"}, "spec": spec}


def hazards(rule: dict[str, Any], action: str = "ALLOW") -> list[tuple[str, str]]:
    found = find_hazards([policy(rule, action)], tcp_ports=frozenset({5432}))
    return [(one.pointer, one.hazard) for one in found]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("paths", "*"),
        ("paths", "/a*"),
        ("paths", "*.html"),
        ("methods", "*"),
        ("methods", "P*"),
        ("hosts", "*.example.com"),
    ],
)
def test_wildcards_of_operations_are_found(field: str, value: str) -> None:
    rule = {
        "from": [{"source": {"principals": ["a"]}}],
        "to": [{"operation": {field: [value], "ports": ["80"]}}],
    }
    assert (f"/spec/rules/0/to/0/operation/{field}/0", "value.wildcard") in hazards(rule)


@pytest.mark.parametrize("value", ["*", "*/a", "https*", "https://a/b*", "https://*/a"])
def test_wildcards_of_principals_are_found(value: str) -> None:
    rule = {"from": [{"source": {"requestPrincipals": [value]}}]}
    assert ("/spec/rules/0/from/0/source/requestPrincipals/0", "value.wildcard") in hazards(rule)


def test_all_below_a_path_and_all_subjects_of_an_issuer_are_no_wildcards() -> None:
    rule = {
        "from": [{"source": {"requestPrincipals": ["https://a/*"]}}],
        "to": [{"operation": {"paths": ["/a/*"], "ports": ["80"]}}],
    }
    assert [hazard for _, hazard in hazards(rule)] == ["principal.issuer"]


def test_an_empty_list_is_found_wherever_it_is() -> None:
    """Also where the field is null, and where there is a value of no letters."""
    rule = {
        "from": [{"source": {"principals": ["a"], "requestPrincipals": []}}],
        "to": [{"operation": {"methods": None, "paths": [""], "ports": ["80"]}}],
    }
    assert [pointer for pointer, hazard in hazards(rule) if hazard == "values.empty"] == [
        "/spec/rules/0/from/0/source/requestPrincipals",
        "/spec/rules/0/to/0/operation/methods",
        "/spec/rules/0/to/0/operation/paths/0",
    ]


def test_without_ports_a_rule_holds_on_tcp_ports_too() -> None:
    rule = {"from": [{"source": {"principals": ["a"]}}], "to": [{"operation": {"paths": ["/a"]}}]}
    assert ("/spec/rules/0/to/0/operation/paths", "tcp.http") in hazards(rule)
    assert ("/spec/rules/0/to/0/operation/paths", "tcp.http") in hazards(rule, "DENY")


def test_a_policy_of_somebody_else_that_lets_in_more_is_found_and_evaluated() -> None:
    """One more ALLOW for the same pods, and the finance service is open."""
    services = shipped()
    service = services.services["finance"]
    widening = policy({}) | {"metadata": {"name": "debug", "namespace": "finance"}}
    widening["spec"]["selector"] = {"matchLabels": {"app": "finance"}}
    resources = [*render_all(services)["finance"], widening]
    request = Request(
        service="finance", port=8080, method="GET", path="/ledger", workload="spiffe://a/ns/b/sa/c"
    )
    assert evaluate(resources, pods_of(service), request).by == "AuthorizationPolicy debug: rule 0"
    (found,) = find_hazards(resources)
    assert str(found).startswith("AuthorizationPolicy finance/debug: /spec/rules/0: allow.everything: ")
