"""Dashboard panels about embedded clusters: their load and their speed."""

from typing import Final

from observability.grafana.panel import Panel, p99, rate

CLUSTERS: Final = (
    Panel(
        title="Processors in use",
        text="The share of each cluster's processors that running tasks have asked for.",
        lines=(("waypost_cluster_processors_busy / waypost_cluster_processors", "{{region}}"),),
        unit="percentunit",
    ),
    Panel(
        title="Tasks that wait",
        text="Tasks that are ready and have no processor.",
        lines=(("waypost_cluster_queued_tasks", "{{region}}"),),
    ),
    Panel(
        title="Attempts",
        text="The share of its places that each cluster holds; at 1 it refuses more as Full.",
        lines=(("waypost_cluster_attempts / waypost_cluster_slots", "{{region}}"),),
        unit="percentunit",
    ),
    Panel(
        title="Run-leases",
        text="Exclusive attempts that would end within 15 seconds without a gateway.",
        lines=(("waypost_cluster_leases", "{{region}}"),),
    ),
)
CLUSTER_SPEED: Final = (
    Panel(
        title="Tries",
        text="Started a second, and ended by outcome.",
        lines=(
            (rate("waypost_cluster_tries_started_total", "region"), "{{region}} started"),
            (rate("waypost_cluster_tries_ended_total", "region", "outcome"), "{{region}} {{outcome}}"),
        ),
    ),
    Panel(
        title="Wait for a processor",
        text="From the moment a task was ready until it started: the slowest 1 %.",
        lines=((p99("waypost_cluster_wait_seconds", "region"), "{{region}}"),),
        unit="s",
    ),
    Panel(
        title="Run time",
        text="What tries took, by task type: the slowest 1 %.",
        lines=((p99("waypost_cluster_run_seconds", "executor"), "{{executor}}"),),
        unit="s",
    ),
    Panel(
        title="Journal",
        text="What a commit takes: the slowest 1 %. Nothing starts or ends before it is journalled.",
        lines=((p99("waypost_cluster_journal_seconds", "region"), "{{region}}"),),
        unit="s",
        alerts=("WaypostClusterJournalSlow",),
    ),
    Panel(
        title="Timers",
        text="How late the scheduler's timers fire: the slowest 1 %. It grows with the machine's load.",
        lines=((p99("waypost_cluster_timer_late_seconds", "region"), "{{region}}"),),
        unit="s",
    ),
)
