"""Tests what values the chart takes: known ones, settings that exist, no secrets, no contradictions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from clusters.embedded.executors.registry import EXECUTORS
from clusters.transport import Timeouts
from gateway.settings import GatewaySettings, PolicySettings
from helm.settings_schema import SET_BY_THE_CHART, secret_settings, settings_schemas
from tests.helm.rendering import refusal, run_helm


@pytest.fixture(scope="session")
def schema(chart: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((chart / "values.schema.json").read_text())
    return found


def objects_in(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for inner in node.values():
            yield from objects_in(inner)
    if isinstance(node, list):
        for inner in node:
            yield from objects_in(inner)


def test_no_object_of_the_values_takes_an_unknown_name(schema: dict[str, Any]) -> None:
    """Where names are free (labels, headers) their values have a type."""
    Draft202012Validator.check_schema(schema)
    open_objects = [
        node
        for node in objects_in(schema)
        if not (node.get("additionalProperties") is False or "type" in node["additionalProperties"])
    ]
    assert open_objects == []


def test_the_chart_takes_every_setting_of_a_gateway() -> None:
    """But for secrets, and for those that it sets by itself: a setting that is added is a value at once."""
    schemas = settings_schemas()
    known = set(schemas["gatewaySettings"]["properties"]) | SET_BY_THE_CHART[GatewaySettings]
    assert known == {field.name for field in msgspec.structs.fields(GatewaySettings)}
    of_policy = set(schemas["PolicySettings"]["properties"]) | SET_BY_THE_CHART[PolicySettings] | {"token"}
    assert of_policy == {field.name for field in msgspec.structs.fields(PolicySettings)}
    assert set(schemas["timeouts"]["properties"]) == set(Timeouts.__struct_fields__)
    assert set(schemas["executors"]["properties"]) == set(EXECUTORS)


def test_a_secret_setting_is_named_and_never_a_value() -> None:
    """What stands in values is in a ConfigMap, and in Helm's own record of the release."""
    schemas = settings_schemas()
    assert set(secret_settings()) == {
        *("policy.token", "rollback.alerts_token", "rollback.alerts_key"),
        "notifications.key",
    }
    assert set(schemas["secretSettings"]["properties"]) == set(secret_settings())
    assert "token" not in schemas["PolicySettings"]["properties"]
    assert schemas["RollbackSettings"]["properties"].keys().isdisjoint({"alerts_token", "alerts_key"})


REFUSED = {
    "gatway.enabled=true": "'gatway'",
    "gateway.replicas=3": "'replicas'",
    "gateway.settings.healt.jitter=0": "'healt'",
    "gateway.settings.health.probe_interval=1": "'probe_interval'",
    "gateway.settings.health.jitter=2": "maximum",
    "gateway.settings.listen.port=80": "'listen'",
    "gateway.settings.store=sqlite:x": "'store'",
    "gateway.settings.rollback.alerts_token=abc": "'alerts_token'",
    "gateway.secretSettings.store.secret=abc": "'store'",
    "gateway.settings.logging.level=LOUD": "level",
    "regions[0].name=Beijing": "pattern",
    "regions[0].name=a": "oneOf",
    "clusters.executors.slurm.socket=x": "'slurm'",
    "clusters.executors.process.grace_seconds=601": "maximum",
    "clusters.storages.backups.buckets=x": "'buckets'",
    "monitoring.rules.namespace=x": "'namespace'",
    "certManager.enabled=true": "certManager",
    "listenAddress=10.0.0.1": "listenAddress",
}


@pytest.mark.integration
@pytest.mark.parametrize("value", REFUSED)
def test_a_value_that_does_not_exist_is_refused(chart: Path, value: str) -> None:
    """With its name, before anything is installed."""
    said = refusal(chart, "--set", value)
    assert REFUSED[value].strip("'") in said
    assert "values don't meet the specifications of the schema" in said


CONTRADICTIONS = {
    'regions=[{"name":"a","embedded":{}}]': "gateway.pki.secret: name the Secret",
    'regions=[{"name":"a","embedded":{}}];gateway.enabled=false': "regions: a: embedded.pki.secret",
    'policy.engine="opa"': "policy.publicKey",
    'policy.bundle.configMap="b"': "policy.publicKey: a bundle must be signed",
    "monitoring.alertmanager.enabled=true": "monitoring.alertmanager.pager.secret",
}


@pytest.mark.integration
@pytest.mark.parametrize("values", CONTRADICTIONS)
def test_values_that_lack_something_say_what(chart: Path, values: str) -> None:
    options = [word for value in values.split(";") for word in ("--set-json", value)]
    assert CONTRADICTIONS[values] in refusal(chart, *options)


@pytest.mark.integration
def test_a_chart_that_was_not_built_says_so() -> None:
    """Its files are elsewhere in the repository."""
    source = Path(__file__).parent.parent.parent / "helm" / "waypost"
    said = refusal(source, "--set", "monitoring.rules.enabled=true", "--skip-schema-validation")
    assert "files/rules/gateway.yml is not in this chart: it was not built (make chart)" in said


@pytest.mark.integration
def test_without_any_values_there_is_a_gateway_and_the_notes_say_what_it_lacks(chart: Path) -> None:
    notes = run_helm("install", "waypost", chart, "--dry-run=client", "--namespace", "wp").stdout
    assert "NOBODY IS KNOWN YET" in notes
    assert "THERE IS NO REGION YET" in notes
    assert "THE API IS PLAIN HTTP" in notes
    assert "kubectl -n wp rollout status statefulset/waypost-gateway" in notes
