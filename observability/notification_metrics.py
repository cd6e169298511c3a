"""Declares the metrics of notifications, which are among those of a gateway (`gateway_metrics.py`)."""

from typing import Final

from observability.metric_declaration import NOTIFICATION_OUTCOME, RECEIVER, counter, gauge

NOTIFICATIONS: Final = counter(
    "waypost_notifications_total",
    "Tries to deliver a notification, by outcome, and by the entry of `notifications.egress` for its host.",
    "somebody misses the end of a run. `Retrying` follows a try that failed, `GivenUp` the last one;"
    " `waypost explain RUN` has the reason",
    RECEIVER,
    NOTIFICATION_OUTCOME,
)
NOTIFICATIONS_WAITING: Final = gauge(
    "waypost_notifications_waiting",
    "Notifications in the store: due, being sent, or waiting for their next try.",
    "a receiver is away, or slower than runs end",
)
NOTIFICATIONS_LATE: Final = gauge(
    "waypost_notifications_late_seconds",
    "How long ago the notification was due that has waited longest for its turn; 0 if none waits for it.",
    "messages come late: a receiver is slow, or a tenant has more than can be sent",
)
