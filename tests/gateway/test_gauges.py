"""Tests the gauges of a process's state: certificates, rules, key sets."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from clusters.checked_cluster import CheckedCluster
from gateway.gauges import show_policy_and_keys, show_pools, show_process, start_counters
from gateway.settings import GatewaySettings, PolicySettings, RegionTarget
from observability.metrics import Metrics
from waypost.pki import authority


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_certificates_show_when_they_expire(tmp_path: Path) -> None:
    """Nothing connects after that: an alert has to come weeks before."""
    authority.create_root(tmp_path)
    authority.issue_gateway(tmp_path, days=30)
    region = RegionTarget(name="beijing", url="embedded+https://127.0.0.1:1")
    metrics = Metrics()
    show_process(metrics, GatewaySettings(pki=str(tmp_path), regions=(region,)))

    name = "waypost_certificate_expiry_timestamp_seconds"
    days = ((value(metrics, name, certificate="gateway") or 0) - time.time()) / 86_400
    assert 29 < days < 31
    assert (value(metrics, name, certificate="ca") or 0) > time.time() + 40 * 86_400


def test_rules_that_are_behind_the_bundle_are_stale() -> None:
    """Until OPA has taken what the gateway serves, other rules decide than an operator believes."""
    metrics, settings = Metrics(), GatewaySettings(policy=PolicySettings(engine="opa+http://127.0.0.1:8181"))
    policy = SimpleNamespace(revision="r1")
    bundles = SimpleNamespace(current=SimpleNamespace(manifest=SimpleNamespace(revision="r2")))
    issuers = SimpleNamespace(key_sets_end_in=lambda: {"https://issuer.test": 60.0})
    show_policy_and_keys(metrics, settings, cast(Any, policy), cast(Any, bundles), cast(Any, issuers))

    assert value(metrics, "waypost_policy_stale") == 1
    assert value(metrics, "waypost_policy_revision_info", engine="opa", revision="r1") == 1
    expiry = value(metrics, "waypost_key_set_expiry_timestamp_seconds", issuer="https://issuer.test") or 0
    assert 0 < expiry - time.time() <= 60
    policy.revision = "r2"
    show_policy_and_keys(metrics, settings, cast(Any, policy), cast(Any, bundles), cast(Any, issuers))
    assert value(metrics, "waypost_policy_stale") == 0


def test_what_alerts_watch_is_there_before_the_first_event() -> None:
    """A counter whose series begins at 1 has not grown, as far as Prometheus can tell."""
    metrics = Metrics()
    region = RegionTarget(name="beijing", url="embedded+https://127.0.0.1:1")
    policy = PolicySettings(engine="opa+http://127.0.0.1:8181")
    start_counters(metrics, GatewaySettings(policy=policy, regions=(region,)))

    assert value(metrics, "waypost_requests_total", call="submit", outcome="Unavailable") == 0
    for outcome in ("permitted", "refused", "unanswered"):
        asked = {"engine": "opa", "action": "runs:submit", "outcome": outcome}
        assert value(metrics, "waypost_decisions_total", **asked) == 0
    assert value(metrics, "waypost_shards_ended_total", routing="settings", phase="Quarantined") == 0
    assert value(metrics, "waypost_requests_total", call="receive_alerts", outcome="TooLarge") == 0
    assert value(metrics, "waypost_alerts_total", outcome="LeftOut") == 0
    assert value(metrics, "waypost_policy_bundles_total", outcome="Refused") == 0
    assert value(metrics, "waypost_failovers_total", region="beijing", cause="Abandoned") == 0


def test_the_open_connections_to_a_region_are_shown() -> None:
    """Of an adapter that counts them, behind the gateway's checks; another has none to show."""
    metrics = Metrics()
    counting, other = SimpleNamespace(connections=3, connections_maximum=7), SimpleNamespace()
    adapters = {"beijing": counting, "shanghai": other}
    show_pools(metrics, {name: CheckedCluster(cast(Any, one), region=name) for name, one in adapters.items()})
    assert value(metrics, "waypost_connections", pool="beijing") == 3
    assert value(metrics, "waypost_connections_maximum", pool="beijing") == 7
    assert value(metrics, "waypost_connections_maximum", pool="shanghai") is None
