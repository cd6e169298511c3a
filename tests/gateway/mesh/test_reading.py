"""Tests the reading of service files: every problem at once, and each way to let in too many is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.mesh.reading import MeshError, read_services
from tests.gateway.mesh.service_files import GOOD, catalog, changed, shipped


def problems(**services: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(MeshError) as refused:
        catalog(**services)
    return [(one.pointer, one.detail) for one in refused.value.problems]


def first_access(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda service: service["allow"][0].update(fields)


def second_access(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda service: service["allow"][1].update(fields)


def fields(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda service: service.update(changes)


def issuer(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda service: service["issuers"][0].update(changes)


def test_the_shipped_services_are_read() -> None:
    assert sorted(shipped().services) == ["finance", "ledger-database", "payments", "reports"]
    assert shipped().files["finance"] == "services/finance.yaml"


WIDENING = {
    "a path that is a wildcard": (first_access(paths=["*"]), "/s/allow/0/paths/0", "no other *"),
    "a path that ends like another": (first_access(paths=["/ledger*"]), "/s/allow/0/paths/0", "no other *"),
    "a path with a suffix": (first_access(paths=["*.html"]), "/s/allow/0/paths/0", "no other *"),
    "a path that climbs": (first_access(paths=["/a/../b"]), "/s/allow/0/paths/0", "no .."),
    "a path with a query": (first_access(paths=["/a?b"]), "/s/allow/0/paths/0", "no query"),
    "a path template": (first_access(paths=["/a/{*}"]), "/s/allow/0/paths/0", "is not a path"),
    "a path with an empty part": (first_access(paths=["/a//b"]), "/s/allow/0/paths/0", "no //"),
    "an escaped path": (first_access(paths=["/a%2fb"]), "/s/allow/0/paths/0", "no %"),
    "a scope that is a wildcard": (first_access(scopes=["*"]), "/s/allow/0/scopes/0", "no *"),
    "a scope that begins so": (first_access(scopes=["read:*"]), "/s/allow/0/scopes/0", "no *"),
    "two scopes in one": (first_access(scopes=["a b"]), "/s/allow/0/scopes/0", "no spaces"),
    "a tenant that is a wildcard": (first_access(tenants=["*"]), "/s/allow/0/tenants/0", "no *"),
    "an audience that is a wildcard": (issuer(audiences=["fin*"]), "/s/issuers/0/audiences/0", "no *"),
    "an issuer that is a wildcard": (issuer(issuer="*"), "/s/issuers/0/issuer", "no *"),
    "a method that is a wildcard": (first_access(methods=["*"]), "/s/allow/0/methods/0", "in capitals"),
    "a method that is never sent": (first_access(methods=["get"]), "/s/allow/0/methods/0", "in capitals"),
    "a workload that is a wildcard": (
        first_access(workloads=["spiffe://cluster.local/ns/a/sa/*"]),
        "/s/allow/0/workloads/0",
        "the identity of a workload",
    ),
    "a workload that never matches": (
        first_access(workloads=["cluster.local/ns/a/sa/b"]),
        "/s/allow/0/workloads/0",
        "the identity of a workload",
    ),
    "an empty list of scopes": (first_access(scopes=[]), "/s/allow/0/scopes", "at least 1 item"),
    "an empty list of paths": (first_access(paths=[]), "/s/allow/0/paths", "at least 1 item"),
    "an empty list of methods": (first_access(methods=[]), "/s/allow/0/methods", "at least 1 item"),
    "an empty list of tenants": (first_access(tenants=[]), "/s/allow/0/tenants", "at least 1 item"),
    "an empty list of workloads": (first_access(workloads=[]), "/s/allow/0/workloads", "at least 1 item"),
    "an empty list of ports": (first_access(ports=[]), "/s/allow/0/ports", "at least 1 item"),
    "an empty list of issuers": (first_access(issuers=[]), "/s/allow/0/issuers", "at least 1 item"),
    "no audience": (issuer(audiences=[]), "/s/issuers/0/audiences", "at least 1 item"),
    "null": (first_access(scopes=None), "/s/allow/0/scopes", "must be an array, not null"),
    "no labels": (fields(workload={}), "/s/workload", "at least 1 field"),
    "a label that is a wildcard": (fields(workload={"app": "*"}), "/s/workload/app", "the value of a label"),
    "nobody": (fields(allow=[]), "/s/allow", "at least 1 item"),
    "the root namespace": (fields(namespace="istio-system"), "/s/namespace", "for the whole mesh"),
    "anybody": (second_access(workloads=["x"]), "/s/allow/1/workloads/0", "the identity of a workload"),
    "HTTP on TCP": (second_access(methods=["GET"]), "/s/allow/1/methods", "port 5432 is tcp"),
    "a path on TCP": (second_access(paths=["/a"]), "/s/allow/1/paths", "port 5432 is tcp"),
    "a token on TCP": (first_access(ports=[8080, 5432]), "/s/allow/0/token", "port 5432 is tcp"),
    "a scope without a token": (second_access(scopes=["a"]), "/s/allow/1/scopes", "needs a token"),
    "an unknown port": (first_access(ports=[80]), "/s/allow/0/ports/0", "not among the ports"),
    "an unknown issuer": (first_access(issuers=["b"]), "/s/allow/0/issuers/0", "not among the issuers"),
    "another audience": (first_access(audiences=["b"]), "/s/allow/0/audiences/0", "not among the audiences"),
    "keys without TLS": (issuer(jwksUri="http://a.example/k"), "/s/issuers/0/jwksUri", "https://"),
    "keys that cannot be found": (issuer(issuer="a"), "/s/issuers/0/jwksUri", "is required"),
    "a claim with another meaning": (fields(tenantClaim="scope"), "/s/tenantClaim", "something else"),
    "a claim within a claim": (fields(tenantClaim="a][b"), "/s/tenantClaim", "or brackets"),
    "a port that is both": (fields(ports={"http": [1], "tcp": [1]}), "/s/ports", "1 is there twice"),
    "a name twice": (second_access(name="audit"), "/s/allow/1/name", "is there twice"),
    "a misspelt field": (first_access(scope=["a"]), "/s/allow/0/scope", "did you mean scopes?"),
    "a newline at the end": (first_access(scopes=["a\n"]), "/s/allow/0/scopes/0", "no spaces"),
}


@pytest.mark.parametrize("case", WIDENING)
def test_what_would_let_in_too_many_or_nobody_is_refused(case: str) -> None:
    """With a pointer to it. Istio takes each of these without a word, or drops the rule that has it."""
    change, pointer, part = WIDENING[case]
    found = problems(s=changed(change))
    assert any(at == pointer and part in detail for at, detail in found), found


def test_a_workload_is_required_where_no_token_is() -> None:
    assert problems(s=changed(lambda service: service["allow"][1].pop("workloads"))) == [
        ("/s/allow/1/workloads", "is required with `token: optional`: otherwise it would let in anybody")
    ]


def test_a_token_needs_issuers() -> None:
    assert problems(s=changed(lambda service: service.pop("issuers"))) == [
        (
            "/s/allow/0/token",
            "needs issuers of the service; where the workload is enough, say `token: optional`",
        )
    ]


def test_every_problem_of_every_file_is_reported_at_once() -> None:
    """Whoever mends one file wants to know of the others."""
    bad = b"a: {namespace: A, ports: {}, workload: {app: a}}\n"
    with pytest.raises(MeshError) as refused:
        read_services({"b.yaml": bad, "a.yaml": b"x: [", "c.yaml": b"- 1\n", "d.yaml": b"\xff"})
    assert [(one.file, one.pointer) for one in refused.value.problems] == [
        ("a.yaml", ""),
        ("b.yaml", "/a/allow"),
        ("b.yaml", "/a/namespace"),
        ("c.yaml", ""),
        ("d.yaml", ""),
    ]
    assert str(refused.value).splitlines()[0].startswith("a.yaml: not YAML: ")


def test_a_service_is_in_one_file_alone() -> None:
    """OPA would not load both."""
    text = b"s: {namespace: a, workload: {app: a}, ports: {tcp: [1]}, allow: [{name: a, token: optional, "
    text += b"workloads: ['spiffe://a/ns/a/sa/a']}]}\n"
    with pytest.raises(MeshError) as refused:
        read_services({"a.yaml": text, "b.yaml": text})
    assert [str(one) for one in refused.value.problems] == ["b.yaml: /s: is in a.yaml too"]


def test_services_do_not_share_pods() -> None:
    """Istio lets in by every policy that selects a pod."""
    inner = changed(fields(workload={"app": "finance", "tier": "api"}))
    assert problems(a=GOOD, b=inner) == [
        ("/b/workload", "its pods are pods of a too, whose rules would let in to them")
    ]
    assert problems(a=GOOD, b=GOOD) == [
        ("/b/workload", "its pods are pods of a too, whose rules would let in to them")
    ]
    catalog(a=GOOD, b=changed(fields(namespace="other")), c=changed(fields(workload={"app": "c"})))


def test_the_name_of_a_service_is_a_dns_label() -> None:
    """It names objects in the cluster."""
    named = "names objects in the cluster: lower-case letters, digits and dashes"
    assert problems(**{"No_": GOOD, "a\n": GOOD}) == [("/No_", named), ("/a\n", named)]
