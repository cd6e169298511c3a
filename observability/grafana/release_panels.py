"""Dashboard panels about releases: how released versions do, and what the gateway takes back by itself."""

from typing import Final

from observability.grafana.panel import Panel

RELEASES: Final = (
    Panel(
        title="Released versions that fail",
        text="The share of ended shards that failed, by version of a released workflow.",
        lines=(("waypost:release_failures:ratio_rate1m", "{{release}}"),),
        unit="percentunit",
        alerts=("WaypostReleaseFails",),
    ),
    Panel(
        title="Released versions that are slow",
        text="What half of the shards take at most from acceptance on. `other`: beyond 50 versions.",
        lines=(("waypost:release_seconds:p50_5m", "{{release}}"),),
        unit="s",
    ),
    Panel(
        title="Routing revisions that fail",
        text="The share of ended shards that failed, by the routing revision that placed them.",
        lines=(("waypost:routing_failures:ratio_rate1m", "{{routing}}"),),
        unit="percentunit",
        alerts=("WaypostRoutingFails",),
    ),
)
ROLLBACKS: Final = (
    Panel(
        title="Rollbacks by the gateway itself",
        text="Done: it was taken back. Frozen, Wanted, Failed, Unhelpful, Unverified: it is left to you.",
        lines=(("sum by (phase) (increase(waypost_rollbacks_total[1h]))", "{{phase}}"),),
        alerts=("WaypostRollbackWanted", "WaypostRolledBack"),
    ),
    Panel(
        title="Alerts that trigger rollbacks",
        text="In an hour. LeftOut: its sender kept some back. Refused calls: those alerts are lost, too.",
        lines=(
            ("sum by (outcome) (increase(waypost_alerts_total[1h]))", "alerts {{outcome}}"),
            (
                'sum(increase(waypost_requests_total{call="receive_alerts",'
                'outcome=~"Malformed|InvalidToken|Denied|TooLarge|Invalid"}[1h]))',
                "refused calls",
            ),
        ),
        alerts=("WaypostAlertsLost",),
    ),
)
