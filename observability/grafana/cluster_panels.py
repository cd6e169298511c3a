"""Dashboard panels about embedded clusters: their load and their speed."""

from typing import Final

from observability.grafana.panel import Panel, p99, rate

LOST: Final = '{outcome="Lost"}'
CLUSTERS: Final = (
    Panel(
        title="Processors in use",
        text="The share of each cluster's processors that running tasks have asked for.",
        lines=(("waypost_cluster_processors_busy / waypost_cluster_processors", "{{region}}"),),
        unit="percentunit",
    ),
    Panel(
        title="Memory asked for",
        text="The share of each cluster's memory that running tasks have asked for.",
        lines=(("waypost_cluster_memory_asked_bytes / waypost_cluster_memory_bytes", "{{region}}"),),
        unit="percentunit",
    ),
    Panel(
        title="Tasks that wait",
        text="Tasks that are ready and have no processor.",
        lines=(("waypost_cluster_queued_tasks", "{{region}}"),),
    ),
    Panel(
        title="Longest wait",
        text="How long the task has been ready that waits longest: for a processor, a semaphore, a rate.",
        lines=(("waypost_cluster_queue_age_seconds", "{{region}}"),),
        unit="s",
        alerts=("WaypostClusterQueueOld",),
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
        title="Tries that failed to run",
        text="The share of tries of each task type that was lost: the cluster could not run them.",
        lines=(
            (
                f"{rate('waypost_cluster_tries_ended_total', 'region', 'executor', where=LOST)}"
                f" / {rate('waypost_cluster_tries_ended_total', 'region', 'executor')} or vector(0)",
                "{{region}} {{executor}}",
            ),
        ),
        unit="percentunit",
        alerts=("WaypostTriesLost",),
    ),
    Panel(
        title="Shards evicted",
        text="Shards in an hour whose files were removed, since the disk was nearly full.",
        lines=(("sum by (region) (increase(waypost_cluster_evictions_total[1h]))", "{{region}}"),),
        alerts=("WaypostClusterEvicts",),
    ),
    Panel(
        title="Tries",
        text="Started a second, and ended by outcome.",
        lines=(
            (rate("waypost_cluster_tries_started_total", "region"), "{{region}} started"),
            (rate("waypost_cluster_tries_ended_total", "region", "outcome"), "{{region}} {{outcome}}"),
        ),
    ),
    Panel(
        title="Artifacts",
        text="What fetching and storing an artifact took: the slowest 1 %, by outcome.",
        lines=(
            (
                p99("waypost_cluster_artifact_seconds", "region", "direction", "outcome") + " or vector(0)",
                "{{region}} {{direction}} {{outcome}}",
            ),
        ),
        unit="s",
    ),
    Panel(
        title="Bytes of artifacts",
        text="Fetched and stored, a second.",
        lines=(
            (
                rate("waypost_cluster_artifact_bytes_total", "region", "direction") + " or vector(0)",
                "{{region}} {{direction}}",
            ),
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
