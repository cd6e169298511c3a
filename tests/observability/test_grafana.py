"""Tests the dashboards and provisioning files that ship for Grafana."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from observability.cluster_metrics import ClusterMetrics
from observability.grafana.build import HERE, SOURCE, files
from observability.grafana.pages import DASHBOARDS
from observability.grafana.panel import DashboardPage
from observability.metrics import Metrics
from tests.observability.prometheus_files import ALERTMANAGER, alerts, metric_names, recorded_names, rules

DECLARED = Metrics().registry.declared.keys() | ClusterMetrics().registry.declared.keys()
ROUTE = ("continue", "group_wait", "group_interval", "repeat_interval")
UNITS = {"s", "short", "reqps", "percentunit"}


def test_what_ships_is_what_the_code_says() -> None:
    """`make generated` writes it."""
    assert [path.name for path, content in files() if path.read_text() != content] == []
    written = {path for path, _ in files()}
    assert {*(HERE / "dashboards").glob("*.json")} <= written


@pytest.mark.parametrize("page", DASHBOARDS, ids=lambda page: page.uid)
def test_a_dashboard_is_one_that_grafana_shows(page: DashboardPage) -> None:
    """What the types of its SDK do not say: numbers are unique, panels have a place of their own."""
    shown: dict[str, Any] = msgspec.json.decode((HERE / "dashboards" / f"{page.uid}.json").read_bytes())
    panels = shown["panels"]
    assert (shown["uid"], shown["annotations"]) == (page.uid, {"list": []})
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == {"row", "timeseries"}
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_across or apart_down, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    for panel in panels:
        names = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", DASHBOARDS, ids=lambda page: page.uid)
def test_a_panel_shows_metrics_that_exist_and_says_what_they_mean(page: DashboardPage) -> None:
    """An empty graph is taken for good news."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for panel in page.panels:
        assert panel.unit in UNITS, panel.title
        assert panel.text.endswith("."), panel.title
        for expression, legend in panel.lines:
            assert legend, panel.title
            assert metric_names(expression) <= DECLARED, expression
            assert recorded_names(expression) <= recorded, expression


def test_every_metric_is_on_a_dashboard() -> None:
    """One that is not drawn is found by nobody who does not know its name."""
    drawn = [expression for page in DASHBOARDS for panel in page.panels for expression, _ in panel.lines]
    assert metrics_of(*drawn) - {"up"} == DECLARED


def test_every_alert_leads_to_a_panel() -> None:
    """Who is woken sees the graph that the alert is about, whichever of the two servers sends it."""
    linked = [alert for page in DASHBOARDS for panel in page.panels for alert in panel.alerts]
    assert set(linked) == alerts().keys()
    provided = {
        rule["title"]: rule["annotations"]
        for group in provisioned("alerting/rules.yml")["groups"]
        for rule in group["rules"]
    }
    for name, alert in alerts().items():
        dashboard, _, number = (
            alert["annotations"]["dashboard_url"].removeprefix("d/").partition("?viewPanel=")
        )
        by_grafana = (provided[name]["__dashboardUid__"], provided[name]["__panelId__"])
        assert by_grafana == (dashboard, number), name
        drawn = [target["expr"] for target in shown(dashboard)[int(number)]["targets"]]
        assert metrics_of(alert["expr"]) & metrics_of(*drawn), name


def shown(dashboard: str) -> dict[int, dict[str, Any]]:
    """Returns the panels of a dashboard as it ships, by number."""
    found: dict[str, Any] = msgspec.json.decode((HERE / "dashboards" / f"{dashboard}.json").read_bytes())
    return {panel["id"]: panel for panel in found["panels"]}


def metrics_of(*expressions: str) -> set[str]:
    """Returns the metrics that expressions read, also by way of recorded series."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    texts = [*expressions, *(recorded[name] for one in expressions for name in recorded_names(one))]
    return {name for text in texts for name in (*metric_names(text), *re.findall(r"\bup\b", text))}


def provisioned(name: str) -> Any:
    return yaml.safe_load((HERE / "provisioning" / name).read_text())


def test_grafana_has_every_alert_of_prometheus() -> None:
    """For a site without an Alertmanager: the same conditions, severities, waits and runbooks."""
    found = [rule for group in provisioned("alerting/rules.yml")["groups"] for rule in group["rules"]]
    assert {rule["title"] for rule in found} == alerts().keys()
    for rule in found:
        shipped, asked = alerts()[rule["title"]], rule["data"][0]
        assert (asked["model"]["expr"], asked["datasourceUid"]) == (shipped["expr"], SOURCE)
        assert (rule["labels"], rule["for"]) == (shipped["labels"], shipped.get("for", "0s"))
        assert "$value " not in rule["annotations"]["description"]
        assert len(rule["uid"]) <= 40  # Grafana takes no longer one


def test_the_provisioned_sources_are_those_that_ship() -> None:
    """The uid that rules name, and the ports of the Prometheus servers."""
    sources = {one["uid"]: one for one in provisioned("datasources/waypost.yml")["datasources"]}
    assert sources.keys() == {SOURCE, "waypost-prometheus-latency", "waypost-loki"}
    for uid, server in ((SOURCE, "main"), ("waypost-prometheus-latency", "latency")):
        flags = (HERE.parent / "prometheus" / f"{server}.default").read_text()
        assert f"--web.listen-address={sources[uid]['url'].removeprefix('http://')} " in flags.replace(
            '"', " "
        )
    contacts = provisioned("alerting/contacts.yml")
    receivers = {point["name"] for point in contacts["contactPoints"]}
    (policy,) = contacts["policies"]
    assert {policy["receiver"], *(route["receiver"] for route in policy["routes"])} == receivers
    assert Path(provisioned("dashboards/waypost.yml")["providers"][0]["options"]["path"]).name == "dashboards"


def test_the_provisioned_routes_are_those_of_the_shipped_alert_server() -> None:
    """The same alert reaches the same receivers, the gateway among them, whichever of the two sends it."""
    (policy,) = provisioned("alerting/contacts.yml")["policies"]
    names = {"waypost-gateway": "waypost", "waypost-pager": "pager", "waypost-tickets": "tickets"}
    grafana = [
        (
            [f'{label}{operator}"{value}"' for label, operator, value in route["object_matchers"]],
            names[route["receiver"]],
            *(route.get(name) for name in ROUTE),
        )
        for route in policy["routes"]
    ]
    shipped = yaml.safe_load(ALERTMANAGER.read_text())
    assert grafana == [
        (route["matchers"], route["receiver"], *(route.get(name) for name in ROUTE))
        for route in shipped["route"]["routes"]
    ]
    (waypost,) = [one for one in shipped["receivers"] if one["name"] == "waypost"]
    assert (
        f'"{waypost["webhook_configs"][0]["url"]}"'
        in (HERE / "provisioning" / "alerting" / "contacts.yml").read_text()
    )
