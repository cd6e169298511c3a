"""Dashboard panels about what goes on beside the work: notifications, retention, disks, traces, versions."""

from typing import Final

from observability.grafana.panel import RATE, Panel, rate

UPKEEP: Final = (
    Panel(
        title="Notifications",
        text="Tries a second to deliver a notification, by outcome and entry of notifications.egress.",
        lines=(
            (
                rate("waypost_notifications_total", "receiver", "outcome") + " or vector(0)",
                "{{receiver}} {{outcome}}",
            ),
        ),
        alerts=("WaypostNotificationsFail",),
    ),
    Panel(
        title="Notifications that wait",
        text="How long the first has been due. It grows where a receiver hangs or one tenant has very many.",
        lines=(("max by (instance) (waypost_notifications_late_seconds)", "{{instance}}"),),
        unit="s",
        alerts=("WaypostNotificationsLate",),
    ),
    Panel(
        title="Notifications in the store",
        text="Due, being sent, or waiting for their next try.",
        lines=(("max by (instance) (waypost_notifications_waiting)", "{{instance}}"),),
    ),
    Panel(
        title="Ended runs in the store",
        text="The age of the oldest, and how much longer it stays than the settings of retention say.",
        lines=(
            ("max by (instance) (waypost_retention_oldest_run_age_seconds)", "{{instance}} oldest"),
            ("max by (instance) (waypost_retention_overdue_seconds)", "{{instance}} overdue"),
        ),
        unit="s",
        alerts=("WaypostRetentionBehind",),
    ),
    Panel(
        title="Retention",
        text="Runs and sealed entries archived, and rows deleted, a second; and what failed in an hour.",
        lines=(
            (rate("waypost_retention_archived_runs_total", "instance"), "{{instance}} runs"),
            (rate("waypost_retention_archived_entries_total", "instance"), "{{instance}} entries"),
            (
                f"sum by (instance) (rate(waypost_retention_deleted_rows_total[{RATE}])) or vector(0)",
                "{{instance}} rows",
            ),
            ("sum by (instance) (increase(waypost_retention_failures_total[1h]))", "{{instance}} failures"),
        ),
        alerts=("WaypostRetentionFails",),
    ),
    Panel(
        title="Archive",
        text="Compressed bytes a second that retention writes.",
        lines=((rate("waypost_retention_archive_bytes_total", "instance"), "{{instance}}"),),
    ),
    Panel(
        title="Disks",
        text="The free share of the disk that has the state of each gateway and cluster.",
        lines=(("min by (instance, region) (waypost_disk_free_ratio)", "{{instance}} {{region}}"),),
        unit="percentunit",
        alerts=("WaypostDiskNearlyFull",),
    ),
    Panel(
        title="Spans",
        text="Of sampled traces, a second: sent, refused by their receiver, dropped as too many waited.",
        lines=((rate("waypost_spans_total", "outcome") + " or vector(0)", "{{outcome}}"),),
        alerts=("WaypostSpansLost",),
    ),
    Panel(
        title="Versions",
        text="How many processes run each version of Waypost.",
        lines=(("count by (job, version) (waypost_build_info)", "{{job}} {{version}}"),),
    ),
)
