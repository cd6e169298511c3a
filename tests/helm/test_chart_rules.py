"""Tests the Rego rules of `helm/policy`: no example breaks one, and each finds its bad value."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.policy.embedded.interpreter import Interpreter
from gateway.policy.source import PolicySource
from tests.helm.rendering import EXAMPLES, NAMES, Object, containers, named, of_kind, rendered

pytestmark = pytest.mark.integration
Example = Callable[[str], list[Object]]
RULES: Final = Path(__file__).parent.parent.parent / "helm" / "policy" / "chart.rego"
DENY: Final = "data.waypost.chart.deny"


@pytest.fixture(scope="module")
def denials() -> Callable[[list[Object]], list[str]]:
    """Returns the messages of the rules about the objects of a release."""
    source = PolicySource(modules=(("chart.rego", RULES.read_text()),), data="{}", entry_points=(DENY,))
    interpreter = Interpreter(source)

    def deny(objects: list[Object]) -> list[str]:
        answer = interpreter.evaluate(DENY, msgspec.json.encode({"objects": objects}))
        return msgspec.json.decode(answer, type=list[str])

    return deny


@pytest.mark.parametrize("name", NAMES)
def test_no_example_breaks_a_rule(
    example: Example, denials: Callable[[list[Object]], list[str]], name: str
) -> None:
    assert denials(example(name)) == []


GATEWAY = "StatefulSet waypost-gateway"


def pod(objects: list[Object]) -> Any:
    return named(objects, "StatefulSet", "waypost-gateway")["spec"]["template"]["spec"]


def container(objects: list[Object]) -> Any:
    (found,) = (one for one in containers(objects) if one["name"] == "gateway")
    return found


def role(objects: list[Object]) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]
    objects.append({"kind": "Role", "metadata": {"name": "all"}, "rules": rules})


def administrator(objects: list[Object]) -> None:
    reference = {"kind": "ClusterRole", "name": "cluster-admin"}
    objects.append({"kind": "RoleBinding", "metadata": {"name": "all"}, "roleRef": reference})


def settings(objects: list[Object], text: str) -> None:
    (made,) = (one for one in of_kind(objects, "ConfigMap") if "gateway.toml" in one["data"])
    made["data"]["gateway.toml"] += text


PLANTED: Final[dict[str, Callable[[list[Object]], object]]] = {
    f"{GATEWAY}: the pod may run as root": lambda objects: pod(objects)["securityContext"].update(
        runAsUser=0
    ),
    f"{GATEWAY}: the container gateway is not restricted": lambda objects: container(objects)[
        "securityContext"
    ].update(readOnlyRootFilesystem=False),
    f"{GATEWAY}: the pod shares the node's hostNetwork": lambda objects: pod(objects).update(
        hostNetwork=True
    ),
    f"{GATEWAY}: the pod mounts /etc of its node": lambda objects: pod(objects)["volumes"].append(
        {"name": "node", "hostPath": {"path": "/etc"}}
    ),
    "Role all: a wildcard in a role": role,
    "RoleBinding all: binds cluster-admin": administrator,
    f"{GATEWAY}: mounts a token of Kubernetes": lambda objects: pod(objects).pop(
        "automountServiceAccountToken"
    ),
    f"{GATEWAY}: has no service account of its own": lambda objects: pod(objects).pop("serviceAccountName"),
    "Secret token: a Secret in the chart": lambda objects: objects.append(
        {"kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": "a"}}
    ),
    "ConfigMap waypost-gateway: gateway.toml looks like a secret": lambda objects: settings(
        objects, '[rollback]\nalerts_token = "abc"\n'
    ),
    f"{GATEWAY}: the variable WAYPOST_POLICY__TOKEN is no reference to a Secret": lambda objects: container(
        objects
    ).update(env=[{"name": "WAYPOST_POLICY__TOKEN", "value": "abc"}]),
    f"{GATEWAY}: the container gateway has no limits for memory": lambda objects: container(objects)[
        "resources"
    ]["limits"].pop("memory"),
    f"{GATEWAY}: the container gateway has no livenessProbe": lambda objects: container(objects).pop(
        "livenessProbe"
    ),
    f"{GATEWAY}: the image waypost:latest may be another tomorrow": lambda objects: container(objects).update(
        image="waypost:latest"
    ),
}
"""What each rule says, by a change of the rendered objects that breaks it alone."""


@pytest.mark.parametrize("message", PLANTED)
def test_a_rule_finds_its_bad_value(
    example: Example, denials: Callable[[list[Object]], list[str]], message: str
) -> None:
    objects = copy.deepcopy(example("one-region"))
    PLANTED[message](objects)
    assert denials(objects) == [message]


def test_pods_that_nothing_denies_by_default_are_found(
    example: Example, denials: Callable[[list[Object]], list[str]]
) -> None:
    objects = [made for made in example("one-region") if made["metadata"]["name"] != "waypost-deny"]
    assert len(denials(objects)) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gateway.resources.limits=null", f"{GATEWAY}: the container gateway has no limits for cpu"),
        ("image.tag=latest", f"{GATEWAY}: the image waypost:latest may be another tomorrow"),
        ("networkPolicy.enabled=false", f"{GATEWAY}: no NetworkPolicy denies by default"),
    ],
)
def test_a_bad_value_of_the_chart_is_found(
    chart: Path, denials: Callable[[list[Object]], list[str]], value: str, message: str
) -> None:
    """What the schema of the values lets through, since somebody may want it."""
    (path,) = (path for path in EXAMPLES if path.stem == "one-region")
    assert message in denials(rendered(chart, "--values", path, "--set", value))
