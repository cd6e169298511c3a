"""Generates the JSON of the dashboards, Grafana's alert rules, and the links from all alerts to their panels.

Usage: `python -m observability.grafana.build`.

`make generated` runs it, and a test fails where a file differs from what this would write.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

from observability.grafana.pages import DASHBOARDS
from observability.grafana.panel import DashboardPage, Panel

HERE: Final = Path(__file__).parent
RULES: Final = HERE.parent / "prometheus" / "rules"
SOURCE: Final = "waypost-prometheus"
"""The uid of the Prometheus data source that is provisioned."""
COLUMNS: Final = 24
ACROSS: Final = 2
HEIGHT: Final = 8
FIRST_ROW: Final = 1_000
"""The id of a dashboard's first row; the ids of its panels begin at 1."""
LINK: Final = "dashboard_url"
"""The annotation of Prometheus' alerts that has the path of their panel's page below Grafana's address."""
_ALERT = re.compile(
    r"(?P<alert> - alert: (?P<name>\w+)\n(?:(?! - alert:).*\n)*?)(?P<runbook>(?P<indent> +)runbook_url: .*\n)"
    rf"(?: +{LINK}: .*\n)?"
)


def dashboard_json(page: DashboardPage) -> str:
    """Builds a Grafana dashboard from its page and returns it as JSON."""
    builder = (
        Dashboard(page.title)
        .uid(page.uid)
        .description(page.text)
        .tags(["waypost"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .annotations([])
        .with_variable(DatasourceVariable("source").type("prometheus").label("Prometheus"))
    )
    below = 0
    for number, (heading, panels) in enumerate(page.rows):
        row = Row(heading).id(FIRST_ROW + number).grid_pos(GridPos(h=1, w=COLUMNS, x=0, y=below))
        builder = builder.with_row(row)
        below += 1
        for place, panel in enumerate(panels):
            width = COLUMNS // ACROSS
            spot = GridPos(h=HEIGHT, w=width, x=(place % ACROSS) * width, y=below + place // ACROSS * HEIGHT)
            builder = builder.with_panel(_timeseries(panel, panel_id(page, panel), spot))
        below += -(-len(panels) // ACROSS) * HEIGHT
    built = JSONEncoder(sort_keys=True, indent=1).encode(builder.build())
    return built + "\n"


def panel_id(page: DashboardPage, panel: Panel) -> int:
    """Returns the number of a panel, unique within its dashboard, that Grafana links to."""
    return page.panels.index(panel) + 1


def _timeseries(panel: Panel, number: int, spot: GridPos) -> Timeseries:
    source = DataSourceRef(type_val="prometheus", uid="${source}")
    graph = (
        Timeseries()
        .id(number)
        .title(panel.title)
        .description(panel.text)
        .datasource(source)
        .unit(panel.unit)
        .min(0)
        .grid_pos(spot)
    )
    for place, (expression, legend) in enumerate(panel.lines):
        query = Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place)).range()
        graph = graph.with_target(query.exemplar(panel.exemplars))
    return graph


def panels_of_alerts() -> dict[str, tuple[str, int]]:
    """Returns, by alert, the uid of the first dashboard with a panel about it, and the panel's number."""
    return {
        alert: (page.uid, panel_id(page, panel))
        for page in reversed(DASHBOARDS)
        for panel in page.panels
        for alert in panel.alerts
    }


def with_links(rules: str) -> str:
    """Returns the text of a file of Prometheus rules with each alert's link to its panel written again."""
    places = panels_of_alerts()

    def write(found: re.Match[str]) -> str:
        dashboard, panel = places[found["name"]]
        link = f"{found['indent']}{LINK}: d/{dashboard}?viewPanel={panel}\n"
        return found["alert"] + found["runbook"] + link

    return _ALERT.sub(write, rules)


def alert_rules() -> dict[str, Any]:
    """Converts the alert rules of Prometheus to alert rules of Grafana, each with a link to its panel."""
    places = panels_of_alerts()
    groups = []
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            rules = [
                _grafana_rule(rule, *places[rule["alert"]]) for rule in group["rules"] if "alert" in rule
            ]
            if rules:
                groups.append(
                    {
                        "orgId": 1,
                        "name": group["name"],
                        "folder": "Waypost",
                        "interval": "15s",
                        "rules": rules,
                    }
                )
    return {"apiVersion": 1, "groups": groups}


def _grafana_rule(rule: Mapping[str, Any], dashboard: str, panel: int) -> dict[str, Any]:
    asked = {"refId": "A", "expr": rule["expr"], "instant": True}
    # Prometheus' alert fires for each series that the expression returns, whatever its value.
    holds = {"refId": "B", "type": "math", "expression": "is_number($A)"}
    annotations = {**rule["annotations"], "__dashboardUid__": dashboard, "__panelId__": str(panel)}
    # Grafana makes the link by itself, with its own address.
    annotations.pop(LINK, None)
    return {
        "uid": rule["alert"],
        "title": rule["alert"],
        "condition": "B",
        "for": rule.get("for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": dict(rule["labels"]),
        "annotations": {
            # Grafana has $values where Prometheus has $value.
            name: text.replace("$value", "$values.A.Value") if isinstance(text, str) else text
            for name, text in annotations.items()
        },
        "data": [
            _query("A", SOURCE, asked),
            _query("B", "__expr__", holds),
        ],
    }


def _query(name: str, source: str, model: dict[str, Any]) -> dict[str, Any]:
    window = {"from": 600, "to": 0}
    return {"refId": name, "datasourceUid": source, "relativeTimeRange": window, "model": model}


def files() -> Iterator[tuple[Path, str]]:
    """Yields every file that is generated, or has generated links, as path and content."""
    for path in sorted(RULES.glob("*.yml")):
        yield path, with_links(path.read_text())
    for page in DASHBOARDS:
        yield HERE / "dashboards" / f"{page.uid}.json", dashboard_json(page)
    head = "# Written by observability/grafana/build.py from the rules of Prometheus: change those.\n"
    text = yaml.safe_dump(alert_rules(), sort_keys=False, width=110)
    yield HERE / "provisioning" / "alerting" / "rules.yml", head + text


def main() -> None:
    """Writes every file whose generated content has changed."""
    for path, content in files():
        if not path.exists() or path.read_text() != content:
            path.write_text(content)


if __name__ == "__main__":
    main()
