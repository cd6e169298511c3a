"""Declares the metrics of an embedded cluster, and creates them in a registry of their own.

docs/metrics.md is generated from here. Metrics that the gateway has too are declared in `process_metrics.py`.
"""

from typing import Final

from observability import process_metrics as table
from observability.metric_declaration import (
    DIRECTION,
    EXECUTOR,
    TASK,
    TRY_OUTCOME,
    MetricRegistry,
    counter,
    gauge,
    histogram,
)

QUEUED: Final = gauge(
    "waypost_cluster_queued_tasks", "Tasks that are ready and wait for a processor.", "the cluster is full"
)
QUEUE_AGE: Final = gauge(
    "waypost_cluster_queue_age_seconds",
    "How long the task has waited that has been ready longest; 0 if none waits.",
    "tasks wait, and for how long: behind processors, a semaphore, a rate",
)
ATTEMPTS: Final = gauge(
    "waypost_cluster_attempts", "Attempts that the cluster holds.", "it is near `waypost_cluster_slots`"
)
SLOTS: Final = gauge(
    "waypost_cluster_slots", "Attempts that the cluster holds at most.", "it refuses creates as Full"
)
PROCESSORS: Final = gauge(
    "waypost_cluster_processors", "Processors that tasks may ask for at once.", "its size"
)
PROCESSORS_BUSY: Final = gauge(
    "waypost_cluster_processors_busy", "Processors that running tasks have asked for.", "how full it is"
)
MEMORY: Final = gauge(
    "waypost_cluster_memory_bytes",
    "Memory that tasks may ask for at once.",
    "its size",
)
MEMORY_ASKED: Final = gauge(
    "waypost_cluster_memory_asked_bytes",
    "Memory that running tasks have asked for.",
    "tasks wait though processors are free",
)
LEASES: Final = gauge(
    "waypost_cluster_leases",
    "Exclusive attempts that hold a run-lease.",
    "how much would end without a gateway",
)
STARTED: Final = counter(
    "waypost_cluster_tries_started_total", "Tries that were started.", "what it does", EXECUTOR
)
ENDED: Final = counter(
    "waypost_cluster_tries_ended_total",
    "Tries that ended. Killed: by the cluster itself. Lost: it could not run it.",
    "tasks of one type fail here and not elsewhere",
    EXECUTOR,
    TRY_OUTCOME,
)
WAIT: Final = histogram(
    "waypost_cluster_wait_seconds",
    "From the moment a task was ready until it started.",
    "tasks wait for processors",
    EXECUTOR,
    buckets=TASK,
)
RUN: Final = histogram(
    "waypost_cluster_run_seconds", "What a try took.", "tasks are slower than before", EXECUTOR, buckets=TASK
)
ARTIFACT: Final = histogram(
    "waypost_cluster_artifact_seconds",
    "What fetching or storing an artifact took, with the wait for a place. Lost: its storage did not answer, "
    "or refused the cluster.",
    "a storage is slow, or is not reached from here",
    DIRECTION,
    TRY_OUTCOME,
    buckets=TASK,
)
ARTIFACT_BYTES: Final = counter(
    "waypost_cluster_artifact_bytes_total",
    "Bytes of artifacts that were fetched and stored.",
    "how much goes over the network",
    DIRECTION,
)
TIMER: Final = histogram(
    "waypost_cluster_timer_late_seconds",
    "How late a timer of the scheduler fired.",
    "the machine is overloaded",
)
JOURNAL: Final = histogram(
    "waypost_cluster_journal_seconds", "What a commit of the journal took.", "the disk is slow"
)

EVICTIONS: Final = counter(
    "waypost_cluster_evictions_total",
    "Shards whose files were removed, and whose tasks ended, since the disk was nearly full.",
    "one run fills the disk: its tasks fail, so that others go on",
)


class ClusterMetrics:
    """The metrics of one cluster, an attribute for each, and their registry."""

    def __init__(self) -> None:
        registry = self.registry = MetricRegistry()
        self.build = registry.gauge(table.BUILD)
        self.certificate_expiry = registry.gauge(table.CERTIFICATE_EXPIRY)
        self.loop_lag = registry.histogram(table.LOOP_LAG)
        self.spans = registry.counter(table.SPANS)
        self.disk_free = registry.gauge(table.DISK_FREE)
        self.evictions = registry.counter(EVICTIONS)
        self.queued = registry.gauge(QUEUED)
        self.queue_age = registry.gauge(QUEUE_AGE)
        self.attempts = registry.gauge(ATTEMPTS)
        self.slots = registry.gauge(SLOTS)
        self.processors = registry.gauge(PROCESSORS)
        self.processors_busy = registry.gauge(PROCESSORS_BUSY)
        self.memory = registry.gauge(MEMORY)
        self.memory_asked = registry.gauge(MEMORY_ASKED)
        self.leases = registry.gauge(LEASES)
        self.started = registry.counter(STARTED)
        self.ended = registry.counter(ENDED)
        self.wait_seconds = registry.histogram(WAIT)
        self.run_seconds = registry.histogram(RUN)
        self.artifact_seconds = registry.histogram(ARTIFACT)
        self.artifact_bytes = registry.counter(ARTIFACT_BYTES)
        self.timer_late_seconds = registry.histogram(TIMER)
        self.journal_seconds = registry.histogram(JOURNAL)

    def count_start(self, executor: str, waited_seconds: float) -> None:
        """Counts a started execution (try) of a task, and observes how long the task waited for it."""
        self.started.labels(executor).inc()
        self.wait_seconds.labels(executor).observe(waited_seconds)

    def count_end(self, executor: str, outcome: str, ran_seconds: float) -> None:
        """Counts an ended execution (try) of a task by its outcome, and observes its duration."""
        self.ended.labels(executor, outcome).inc()
        self.run_seconds.labels(executor).observe(ran_seconds)

    def count_artifact(self, direction: str, outcome: str, seconds: float, size: int) -> None:
        """Counts an artifact that was to be fetched or stored, by the outcome; `size` is in bytes."""
        self.artifact_seconds.labels(direction, outcome).observe(seconds)
        self.artifact_bytes.labels(direction).inc(size)
