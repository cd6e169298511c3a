"""Tests what services are rendered into, and how drift from that is found."""

import random
from typing import Any

import pytest
import yaml

from gateway.mesh.drift import Difference, compare_files, compare_objects
from gateway.mesh.manifest import ManifestError, dump, manifest, parse_manifest
from gateway.mesh.rendering import Resource, render, render_all
from tests.gateway.mesh.service_files import GOOD, catalog, changed, shipped


def rendered(**services: dict[str, Any]) -> dict[str, list[Resource]]:
    return render_all(catalog(**services))


def policy(resources: list[Resource]) -> Any:
    (found,) = (one for one in resources if one["kind"] == "AuthorizationPolicy")
    return found["spec"]


def test_only_tokens_with_a_scope_from_one_workload_reach_the_ledger() -> None:
    peer, tokens, allow = render_all(shipped())["finance"]
    assert peer["spec"] == {"selector": {"matchLabels": {"app": "finance"}}, "mtls": {"mode": "STRICT"}}
    assert tokens["spec"]["jwtRules"] == [
        {"issuer": "https://login.example.com/realms/corporate", "audiences": ["finance"]}
    ]
    assert allow["spec"]["action"] == "ALLOW"
    assert allow["spec"]["rules"][0] == {
        "from": [
            {
                "source": {
                    "principals": ["cluster.local/ns/audit/sa/audit"],
                    "requestPrincipals": ["https://login.example.com/realms/corporate/*"],
                }
            }
        ],
        "to": [{"operation": {"ports": ["8080"], "methods": ["GET"], "paths": ["/ledger", "/ledger/*"]}}],
        "when": [
            {"key": "request.auth.audiences", "values": ["finance"]},
            {"key": "request.auth.claims[scope]", "values": ["read:finance"]},
        ],
    }


def test_all_scopes_are_needed_and_one_tenant() -> None:
    """Istio takes one of the values of a condition, and all conditions."""
    (spec,) = [
        policy(one)
        for one in rendered(
            s=changed(lambda service: service["allow"][0].update(scopes=["a", "b"], tenants=["c", "d"]))
        ).values()
    ]
    assert spec["rules"][0]["when"][1:] == [
        {"key": "request.auth.claims[scope]", "values": ["a"]},
        {"key": "request.auth.claims[scope]", "values": ["b"]},
        {"key": "request.auth.claims[tenant]", "values": ["c", "d"]},
    ]


def test_each_issuer_has_its_own_rule_with_its_own_audiences() -> None:
    """In one rule for both, a token of one could be for the other's audience."""
    other = {"issuer": "https://b.example", "audiences": ["b", "finance"]}
    (spec,) = [
        policy(one) for one in rendered(s=changed(lambda service: service["issuers"].append(other))).values()
    ]
    assert [
        (rule["from"][0]["source"]["requestPrincipals"], rule["when"][0]["values"])
        for rule in spec["rules"]
        if "when" in rule
    ] == [(["https://a.example/*"], ["finance"]), (["https://b.example/*"], ["b", "finance"])]


def test_a_rule_names_ports_and_a_tcp_port_has_no_http_field() -> None:
    (spec,) = [policy(one) for one in rendered(s=GOOD).values()]
    assert [rule["to"][0]["operation"]["ports"] for rule in spec["rules"]] == [["8080"], ["5432"]]
    assert spec["rules"][1] == {
        "from": [{"source": {"principals": ["cluster.local/ns/a/sa/b"]}}],
        "to": [{"operation": {"ports": ["5432"]}}],
    }


def test_a_service_without_tokens_has_no_request_authentication() -> None:
    kinds = [one["kind"] for one in render_all(shipped())["ledger-database"]]
    assert kinds == ["PeerAuthentication", "AuthorizationPolicy"]


def test_the_order_of_labels_does_not_change_the_rendering() -> None:
    """What is equal is rendered to the same text."""
    labels = [("app", "a"), ("tier", "b"), ("zone", "c")]
    texts = set()
    for seed in range(6):
        described = GOOD | {"workload": dict(random.Random(seed).sample(labels, 3))}
        texts.add(manifest(render("s", catalog(s=described).services["s"], source="a"), "a"))
    assert len(texts) == 1


@pytest.mark.parametrize("text", ["1e5", "0o7", "yes", "y", "012", "12:30", "null", "", "=", "1_000", "é"])
def test_text_stays_text_in_every_version_of_yaml(text: str) -> None:
    """Kubernetes reads an older one: there 1e5 without quotes is a number."""
    written = dump({"kind": text})
    assert yaml.safe_load(written) == {"kind": text}
    assert '"' in written or text == "é"


def test_what_is_written_is_read_back() -> None:
    resources = [one for several in render_all(shipped()).values() for one in several]
    assert parse_manifest(manifest(resources, "services/a.yaml").encode()) == resources
    assert parse_manifest(yaml.safe_dump({"kind": "List", "items": resources}).encode()) == resources


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "is not YAML"),
        (b"- 1", "has no `kind`"),
        (b"\xff", "is not UTF-8: byte 0"),
        (b"[" * 50_000, "nested more than 64 deep"),
        (b" " * (16 * 2**20 + 1), "has more than"),
    ],
    ids=lambda part: str(part)[:20],
)
def test_what_is_no_manifest_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        parse_manifest(content)


def test_files_differ_where_one_was_changed_is_missing_or_left_over() -> None:
    """Files of others are not looked at."""
    made = {"a.yaml": "a\n", "b.yaml": "b\n"}
    found = {"a.yaml": "x\n", "c.yaml": manifest([], "services/c.yaml"), "d.yaml": "of somebody else\n"}
    changed_file, missing, left = compare_files(made, found)
    assert (changed_file.name, changed_file.change) == ("a.yaml", "changed")
    assert changed_file.diff.splitlines()[-2:] == ["-x", "+a"]
    assert missing == Difference(name="b.yaml", change="missing")
    assert left == Difference(name="c.yaml", change="left over")
    assert list(compare_files(made, made)) == []


def test_objects_are_compared_by_what_was_rendered() -> None:
    """A cluster adds to metadata and status, and may order names otherwise."""
    resources = render_all(shipped())["finance"]
    live = [
        one
        | {
            "metadata": one["metadata"] | {"uid": "1"},
            "status": {},
            "spec": dict(reversed(one["spec"].items())),
        }
        for one in resources
    ]
    assert list(compare_objects(resources, live)) == []
    widened = live[2] | {"spec": live[2]["spec"] | {"rules": [{}]}}
    left = live[0] | {"metadata": live[0]["metadata"] | {"name": "old"}}
    stranger = {"kind": "AuthorizationPolicy", "metadata": {"name": "x", "namespace": "finance"}}
    differences = list(compare_objects(resources, [live[0], widened, left, stranger]))
    assert [(one.name, one.change) for one in differences] == [
        ("RequestAuthentication finance/finance", "missing"),
        ("AuthorizationPolicy finance/finance", "changed"),
        ("PeerAuthentication finance/old", "left over"),
    ]
    assert "-  - {}" in differences[1].diff
