"""Cases for the alerts on what goes on beside the work (`rules/upkeep.yml`), as `alert_cases.py` has them."""

from typing import Final

from tests.observability.alert_case import DAY, AlertCase, gauge


def tries(delivered: str, retrying: str, given_up: str) -> dict[str, str]:
    """Returns series of the tries to deliver notifications to the hosts of one entry of the settings."""
    series = 'waypost_notifications_total{receiver="hooks.example.com",outcome="%s"}'
    return {series % "Delivered": delivered, series % "Retrying": retrying, series % "GivenUp": given_up}


def lost(succeeded: str, lost: str) -> dict[str, str]:
    """Returns series of the tries of `http` tasks in one region that succeeded, and that were lost."""
    series = 'waypost_cluster_tries_ended_total{region="beijing",executor="http",outcome="%s"}'
    return {series % "Succeeded": succeeded, series % "Lost": lost}


UPKEEP_CASES: Final = (
    AlertCase(
        "WaypostNotificationsFail",
        "20m",
        tries("0+1x100", "0+1x100", "0+1x100"),
        tries("0+2x100", "0+1x100", "0+1x100"),
    ),
    # A single message that is tried again and again is no receiver that fails.
    AlertCase(
        "WaypostNotificationsFail",
        "30m",
        tries("0x140", "0x60 5x80", "0x140"),
        tries("0x140", "0x60 4x80", "0x140"),
    ),
    gauge(
        'waypost_notifications_late_seconds{instance="g"}',
        "301x100",
        "300x100",
        "12m",
        "WaypostNotificationsLate",
    ),
    # A pass each minute fails; one that failed once has another a minute later.
    gauge(
        'waypost_retention_failures_total{instance="g"}',
        "0x8 1+0.25x200",
        "0x8 1x200",
        "40m",
        "WaypostRetentionFails",
    ),
    gauge(
        'waypost_retention_overdue_seconds{instance="g"}',
        f"{DAY + 1}x300",
        f"{DAY}x300",
        "1h1m",
        "WaypostRetentionBehind",
    ),
    gauge(
        'waypost_disk_free_ratio{instance="c",region="beijing"}',
        "0.09x100",
        "0.1x100",
        "12m",
        "WaypostDiskNearlyFull",
    ),
    gauge(
        'waypost_cluster_evictions_total{instance="c",region="beijing"}',
        "0x4 1x20",
        "1x24",
        "4m",
        "WaypostClusterEvicts",
    ),
    gauge(
        'waypost_cluster_queue_age_seconds{region="beijing"}',
        "1801x100",
        "1800x100",
        "12m",
        "WaypostClusterQueueOld",
    ),
    AlertCase("WaypostTriesLost", "22m", lost("0+3x100", "0+1x100"), lost("0+4x100", "0+1x100")),
    gauge(
        'waypost_spans_total{instance="g",outcome="dropped"}',
        "0+1x200",
        "0x4 1x200",
        "30m",
        "WaypostSpansLost",
    ),
)
