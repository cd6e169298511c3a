"""Tests `waypost mesh check --live` on a server that answers as Kubernetes does."""

import builtins
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_httpserver import HTTPServer

from gateway.mesh.rendering import Resource, render_all
from tests.gateway.cli.mesh.test_services import ended
from tests.gateway.mesh.service_files import SHIPPED_SERVICES, shipped

KINDS = {
    "AuthorizationPolicy": "authorizationpolicies",
    "PeerAuthentication": "peerauthentications",
    "RequestAuthentication": "requestauthentications",
}
NAMESPACES = ("analytics", "finance", "istio-system", "payments")
LIVE = ("check", str(SHIPPED_SERVICES), "--live")


@pytest.fixture
def cluster(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """The cluster of the kubeconfig, without any answer yet."""
    configuration = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": httpserver.url_for("").rstrip("/")}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(configuration))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return httpserver


def rendered() -> list[Resource]:
    return copy.deepcopy([one for several in render_all(shipped()).values() for one in several])


def has(cluster: HTTPServer, objects: list[Resource]) -> None:
    for namespace in NAMESPACES:
        for kind, plural in KINDS.items():
            items = [
                # As a server has it: without kind and version, with more metadata.
                {"metadata": one["metadata"] | {"uid": "u", "resourceVersion": "1"}, "spec": one["spec"]}
                for one in objects
                if one["kind"] == kind and one["metadata"]["namespace"] == namespace
            ]
            path = f"/apis/security.istio.io/v1/namespaces/{namespace}/{plural}"
            answer = {
                "kind": f"{kind}List",
                "apiVersion": "security.istio.io/v1",
                "metadata": {},
                "items": items,
            }
            cluster.expect_request(path, headers={"authorization": "Bearer t"}).respond_with_json(answer)


def found(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    return [(one["change"], one["name"]) for one in json.loads(capsys.readouterr().out)]


def test_a_cluster_is_as_rendered(cluster: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    has(cluster, rendered())
    assert ended(*LIVE) == 0
    assert capsys.readouterr().out == "4 services: all is as rendered\n"


def test_what_was_changed_removed_or_left_over_is_found(
    cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = rendered()
    objects[2]["spec"]["rules"][0]["when"].pop()
    left = copy.deepcopy(objects[0])
    left["metadata"]["name"] = "old"
    has(cluster, [*objects[1:], left])
    assert ended(*LIVE, "-o", "json") == 1
    assert found(capsys) == [
        ("missing", "PeerAuthentication finance/finance"),
        ("changed", "AuthorizationPolicy finance/finance"),
        ("left over", "PeerAuthentication finance/old"),
    ]
    assert ended(*LIVE) == 1
    added = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("+ ")]
    assert added == [
        ["+", "-", "key:", "request.auth.claims[scope]"],
        ["+", "values:"],
        ["+", "-", "read:finance"],
    ]


def policy(namespace: str, labels: dict[str, str], action: str = "ALLOW") -> Resource:
    rule = {"from": [{"source": {"principals": ["cluster.local/ns/x/sa/y"]}}]}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "action": action, "rules": [rule]}
    return {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "theirs", "namespace": namespace},
        "spec": spec,
    }


def test_policies_of_others_that_let_in_to_the_same_pods_are_found(
    cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in Git says so, and what was rendered is unchanged. Those for other pods are not looked at."""
    theirs = policy("finance", {"app": "finance"})
    has(cluster, [*rendered(), theirs, policy("payments", {"app": "other"})])
    assert ended(*LIVE, "-o", "json") == 1
    assert found(capsys) == [("lets in too", "AuthorizationPolicy finance/theirs")]


def test_policies_of_the_whole_mesh_count_too(
    cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    has(cluster, [*rendered(), policy("istio-system", {})])
    assert ended(*LIVE) == 1
    printed = capsys.readouterr().out
    assert "AuthorizationPolicy istio-system/theirs: lets in too\nit selects the pods of finance" in printed
    assert "AuthorizationPolicy istio-system/theirs: hazard\n/metadata/namespace: namespace.root" in printed


def test_a_policy_of_others_that_denies_is_theirs(cluster: HTTPServer) -> None:
    """It lets nobody in."""
    has(cluster, [*rendered(), policy("finance", {"app": "finance"}, "DENY")])
    assert ended(*LIVE) == 0


@pytest.mark.parametrize(("status", "code"), [(403, 3), (401, 3), (404, 1), (500, 1)])
def test_a_cluster_that_refuses_is_reported(
    status: int, code: int, cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "not for you",
        "code": status,
    }
    cluster.expect_request(
        "/apis/security.istio.io/v1/namespaces/analytics/authorizationpolicies"
    ).respond_with_json(answer, status=status)
    assert ended(*LIVE) == code
    assert "error: the cluster refuses: not for you" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_reported(
    tmp_path: Path, cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace(f":{cluster.port}", ":1"))
    assert ended(*LIVE) == 5
    assert "the cluster does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "x: [", "- 1", "clusters: []", "{}"])
def test_a_kubeconfig_that_cannot_be_used_is_reported(
    content: str | None, tmp_path: Path, cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        (tmp_path / "kubeconfig").unlink()
    else:
        (tmp_path / "kubeconfig").write_text(content)
    assert ended(*LIVE) == 2
    assert "the kubeconfig cannot be used" in capsys.readouterr().err


def test_a_context_that_does_not_exist_is_reported(
    cluster: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*LIVE, "--context", "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_without_lightkube_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("lightkube"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert ended(*LIVE) == 2
    assert "waypost[kubernetes]" in capsys.readouterr().err


def test_something_to_compare_with_must_be_named() -> None:
    assert ended("check", str(SHIPPED_SERVICES)) == 2
