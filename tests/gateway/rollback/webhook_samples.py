"""Webhook notifications as the versions of Alertmanager and Grafana send them, with every field of each."""

from typing import Any, Final

NEVER: Final = "0001-01-01T00:00:00Z"
"""Go's time without a value: the end of an alert that fires."""


def prometheus_alert(status: str = "firing", **changes: Any) -> dict[str, Any]:
    """Returns an alert as Alertmanager 0.20 to 0.28 sends it (`template.Alert`)."""
    return {
        "status": status,
        "labels": {"alertname": "WaypostReleaseFails", "rollback": "workflow", "release": "demo/nightly@3"},
        "annotations": {"summary": "Work fails", "description": "7.5% of the shards <b>&</b> \u2028 more"},
        "startsAt": "2026-03-01T10:00:00.123456789Z",
        "endsAt": NEVER if status == "firing" else "2026-03-01T10:05:00.123Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": "c6eadffa33fcdf37",
    } | changes


def prometheus(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Returns a notification of Alertmanager (`webhook.Message`, version 4)."""
    sent = alerts or (prometheus_alert(),)
    firing = any(alert["status"] == "firing" for alert in sent)
    return {
        "receiver": "waypost",
        "status": "firing" if firing else "resolved",
        "alerts": list(sent),
        "groupLabels": {"alertname": "WaypostReleaseFails"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}/{rollback=~".+"}:{alertname="WaypostReleaseFails", release="demo/nightly@3"}',
        "truncatedAlerts": 0,
    } | changes


def grafana_alert(status: str = "firing", **changes: Any) -> dict[str, Any]:
    """Returns an alert as Grafana 11 sends it (`templates.ExtendedAlert`)."""
    return (
        prometheus_alert(status)
        | {
            "startsAt": "2026-03-01T09:51:03.157076+02:00",
            "generatorURL": "https://grafana.test/alerting/grafana/ab12/view?orgId=1",
            "silenceURL": "https://grafana.test/alerting/silence/new?alertmanager=grafana&matcher=zone%3Dus-1",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
            "valueString": "[ var='B' labels={} value=44.23943737541908 ], [ var='C' labels={} value=1 ]",
        }
        | changes
    )


def grafana(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Returns a notification of Grafana 9 and later (`webhookMessage`, version 1)."""
    sent = prometheus(*(alerts or (grafana_alert(),)))
    own = {
        "externalURL": "https://grafana.test/",
        "version": "1",
        "groupKey": '{}/{rollback=~".+"}:{alertname="WaypostReleaseFails", grafana_folder="Waypost"}',
        "orgId": 1,
        "title": "[FIRING:1] WaypostReleaseFails Waypost",
        "state": "alerting" if sent["status"] == "firing" else "ok",
        "message": "**Firing**\n\nValue: B=44.23943737541908, C=1\nLabels:\n - alertname = Fails\n",
    }
    return sent | own | changes


TEST: Final = grafana(
    grafana_alert(
        labels={"alertname": "TestAlert", "instance": "Grafana"},
        annotations={"summary": "Notification test"},
        fingerprint="57c6d9296de2ad39",
        values=None,
        valueString="[ metric='foo' labels={instance=bar} value=10 ]",
    ),
    groupKey="test-57c6d9296de2ad39-1772359200",
)
"""What Grafana sends when somebody presses `Test` at a contact point."""

SAMPLES: Final[dict[str, tuple[dict[str, Any], list[tuple[str, bool]], int]]] = {
    "alertmanager": (prometheus(), [("workflow", False)], 0),
    "alertmanager before 0.20: nothing is truncated": (
        {name: value for name, value in prometheus().items() if name != "truncatedAlerts"},
        [("workflow", False)],
        0,
    ),
    "alertmanager with max_alerts": (
        prometheus(truncatedAlerts=2**64 - 1),
        [("workflow", False)],
        2**64 - 1,
    ),
    "some fire and some are over": (
        prometheus(prometheus_alert(), prometheus_alert("resolved", fingerprint="f2")),
        [("workflow", False), ("workflow", True)],
        0,
    ),
    "all are over": (prometheus(prometheus_alert("resolved")), [("workflow", True)], 0),
    "no alert at all": (prometheus(alerts=[]), [], 0),
    "a list of Go's that was never made": (prometheus(alerts=None), [], 0),
    "an alert without labels": (
        prometheus(prometheus_alert(labels={}), prometheus_alert(labels=None, fingerprint="f2")),
        [("", False), ("", False)],
        0,
    ),
    "an alert that has no beginning": (
        prometheus(prometheus_alert(startsAt=NEVER)),
        [("workflow", False)],
        0,
    ),
    "a NUL in annotation and label": (
        prometheus(
            prometheus_alert(annotations={"a": "\0"}, labels={"alertname": "\0", "rollback": "policy"})
        ),
        [("policy", False)],
        0,
    ),
    "grafana": (grafana(), [("workflow", False)], 0),
    "grafana 9": (
        grafana({name: value for name, value in grafana_alert().items() if name != "values"}),
        [("workflow", False)],
        0,
    ),
    "grafana 12": (
        grafana(
            grafana_alert(
                ruleUID="ab12", orgId=1, imageURL="https://i.test/1.png", enrichments={"a": [1, None]}
            ),
            appVersion="12.1.0",
        ),
        [("workflow", False)],
        0,
    ),
    "grafana: no values are known": (grafana(grafana_alert(values=None)), [("workflow", False)], 0),
    "grafana: Go writes large numbers in full": (
        grafana(grafana_alert(values={"bytes": 18446744073709552000, "ns": 1772359200123456800, "x": 1e300})),
        [("workflow", False)],
        0,
    ),
    "grafana: over": (grafana(grafana_alert("resolved")), [("workflow", True)], 0),
    "grafana: Test": (TEST, [("", False)], 0),
}
"""By what it shows: a notification, the kind of each alert in it and whether it is over, how many miss."""
