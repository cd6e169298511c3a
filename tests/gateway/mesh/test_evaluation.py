"""Tests that resources are evaluated as Istio's documentation and its proxies have it."""

from typing import Any

import pytest

from gateway.mesh.evaluation import Pods, evaluate
from gateway.mesh.matching import (
    audience_is_permitted,
    claim_matches,
    subject_matches,
    text_matches,
)
from gateway.mesh.policy_rules import UnknownField
from gateway.mesh.rendering import Resource
from gateway.mesh.request import Request

PODS = Pods(namespace="n", labels={"app": "a"}, tcp_ports=frozenset({5432}))
CALLER = "spiffe://t/ns/x/sa/y"
CLAIMS: dict[str, Any] = {"iss": "https://a/b", "sub": "s", "aud": "x", "scope": "one two"}


def made(kind: str, spec: dict[str, Any], namespace: str = "n") -> Resource:
    return {"kind": kind, "metadata": {"name": kind.lower(), "namespace": namespace}, "spec": spec}


def policy(*rules: dict[str, Any], action: str = "ALLOW", **spec: Any) -> Resource:
    return made("AuthorizationPolicy", {"action": action, "rules": [*rules], **spec})


TOKENS = made("RequestAuthentication", {"jwtRules": [{"issuer": "https://a/b", "audiences": ["x"]}]})
STRICT = made("PeerAuthentication", {"mtls": {"mode": "STRICT"}})
WITH_TOKEN = {"from": [{"source": {"requestPrincipals": ["*"]}}]}


def allowed(*resources: Resource, **changes: Any) -> bool:
    request = {"port": 80, "method": "GET", "path": "/p", "workload": CALLER, "claims": None, **changes}
    return evaluate(resources, PODS, Request(service="s", **request)).allow


def test_without_a_policy_all_is_allowed() -> None:
    assert allowed()
    assert allowed(policy({}, selector={"matchLabels": {"app": "b"}}, action="ALLOW"))
    assert allowed(made("AuthorizationPolicy", {"action": "ALLOW"}, namespace="other"))


def test_a_policy_that_allows_nothing_denies_all_and_one_with_an_empty_rule_allows_all() -> None:
    assert not allowed(policy())
    assert allowed(policy({}))


def test_a_policy_that_denies_does_nothing_without_a_rule_and_comes_first() -> None:
    assert allowed(policy({}), policy(action="DENY"))
    assert not allowed(policy({}), policy({}, action="DENY"))


def test_request_authentication_alone_lets_in_who_has_no_token() -> None:
    assert allowed(TOKENS)
    assert not allowed(TOKENS, claims={"iss": "https://other", "sub": "s", "aud": "x"})
    assert not allowed(TOKENS, policy(WITH_TOKEN))
    assert allowed(TOKENS, policy(WITH_TOKEN), claims=CLAIMS)


def test_without_request_authentication_nobody_has_a_principal() -> None:
    assert not allowed(policy(WITH_TOKEN), claims=CLAIMS)


def test_a_condition_without_values_is_dropped() -> None:
    assert allowed(policy({"when": [{"key": "request.auth.claims[scope]", "values": []}]}))


def test_a_claim_that_is_missing_satisfies_what_must_not_be() -> None:
    assert allowed(TOKENS, policy({"when": [{"key": "request.auth.claims[role]", "notValues": ["x"]}]}))


def test_an_http_field_on_a_tcp_port_ends_a_rule_that_allows_and_widens_one_that_denies() -> None:
    tcp = {"port": 5432, "method": None, "path": None}
    by_path = {"to": [{"operation": {"paths": ["/p"]}}]}
    assert not allowed(policy(by_path), **tcp)
    assert allowed(policy(by_path))
    assert not allowed(policy({}), policy(by_path, action="DENY"), **tcp)
    assert allowed(policy({}), policy(by_path, action="DENY"), path="/q")


def test_principals_need_mutual_tls() -> None:
    by_caller = policy({"from": [{"source": {"principals": ["t/ns/x/sa/y"]}}]})
    assert allowed(by_caller)
    assert not allowed(by_caller, workload=None)
    not_by = policy({"from": [{"source": {"notPrincipals": ["t/ns/x/sa/z"]}}]})
    assert allowed(not_by, workload=None)
    assert not allowed(STRICT, not_by, workload=None)


def test_the_narrowest_peer_authentication_counts() -> None:
    of_mesh = made("PeerAuthentication", {"mtls": {"mode": "STRICT"}}, namespace="istio-system")
    of_namespace = made("PeerAuthentication", {"mtls": {"mode": "PERMISSIVE"}})
    of_port = made(
        "PeerAuthentication",
        {"selector": {"matchLabels": {"app": "a"}}, "portLevelMtls": {"80": {"mode": "STRICT"}}},
    )
    assert not allowed(of_mesh, workload=None)
    assert allowed(of_namespace, of_mesh, workload=None)
    assert not allowed(of_port, of_namespace, of_mesh, workload=None)
    assert allowed(of_port, of_namespace, of_mesh, workload=None, port=81)


def test_parts_of_a_rule_are_joined_by_and_and_values_by_or() -> None:
    rule = {
        "from": [{"source": {"principals": ["no"]}}, {"source": {"principals": ["t/*"]}}],
        "to": [
            {"operation": {"methods": ["PUT", "GET"], "paths": ["/p*"], "ports": ["80"], "notPaths": ["/pq"]}}
        ],
        "when": [{"key": "request.auth.audiences", "values": ["x"]}],
    }
    assert allowed(TOKENS, policy(rule), claims=CLAIMS)
    for change in ({"workload": "spiffe://u/ns/a/sa/b"}, {"method": "POST"}, {"path": "/pq"}, {"port": 81}):
        assert not allowed(TOKENS, policy(rule), claims=CLAIMS, **change)
    assert not allowed(TOKENS, policy(rule))


@pytest.mark.parametrize(
    "resource",
    [
        policy({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}),
        policy({"when": [{"key": "request.headers[x]", "values": ["a"]}]}),
        policy({"unless": []}),
        policy({}, action="CUSTOM"),
        made("RequestAuthentication", {"jwtRules": [{"issuer": "https://a/b", "fromHeaders": []}]}),
    ],
    ids=lambda resource: str(resource["spec"])[:60],
)
def test_what_is_not_evaluated_is_said_to_be(resource: Resource) -> None:
    with pytest.raises(UnknownField):
        allowed(resource, claims=CLAIMS)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("*b", "ab", True),
        ("*", "a", True),
        ("*", "", False),
        ("a*b", "a*b", True),
        ("a*b", "acb", False),
    ],
)
def test_a_star_at_an_end_is_a_wildcard(pattern: str, text: str, *, matches: bool) -> None:
    assert text_matches(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("https://a/b/s", True),
        ("https://a/b/*", True),
        ("https://a/*", False),
        ("https://a/b", False),
        ("*", True),
        ("*/s", True),
        ("*a/b/s", True),
        ("https*", True),
        ("*s", True),
    ],
)
def test_a_principal_is_split_at_its_last_slash(pattern: str, *, matches: bool) -> None:
    """So `https://a/*` is any subject of the issuer `https://a`, and `https://a/b` the subject `b` of it."""
    assert subject_matches(pattern, CLAIMS) is matches


@pytest.mark.parametrize(
    ("claim", "value", "matches"),
    [
        ("scope", "one two", True),
        ("scope", ["two"], True),
        ("scope", ["one two"], False),
        ("roles", "one two", False),
        ("roles", "two", True),
        ("roles", [1, "two"], True),
        ("roles", {"two": True}, False),
    ],
)
def test_only_a_scope_is_split_at_spaces(claim: str, value: Any, *, matches: bool) -> None:
    assert claim_matches("two", {claim: value}, [claim]) is matches


def test_claims_may_be_within_claims() -> None:
    assert claim_matches("a", {"x": {"y": ["a"]}}, ["x", "y"])
    assert not claim_matches("a", {"x": "a"}, ["x", "y"])


@pytest.mark.parametrize(
    ("audience", "permitted", "taken"),
    [
        ("x", ["x"], True),
        ("https://x/", ["x"], True),
        ("x", ["http://x"], True),
        (["y", "x"], ["x"], True),
        (["x", 1], ["x"], False),
        (None, ["x"], False),
        ("y", ["x"], False),
        ("y", [], True),
    ],
)
def test_envoy_compares_audiences_without_scheme(audience: Any, permitted: list[str], *, taken: bool) -> None:
    assert audience_is_permitted(audience, permitted) is taken
