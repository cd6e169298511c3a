"""The metrics of one gateway process, with a registry of their own.

`Metrics()` is created once per process. `gateway_metrics.py` and `process_metrics.py` declare the metrics and
their meaning. Label children that a hot path needs are kept: looking one up costs more than counting.
"""

from collections.abc import Callable
from typing import Final, Protocol

from prometheus_client import Counter, Histogram

from observability import gateway_metrics as table
from observability import process_metrics
from observability.ended_shards import EndedShards
from observability.metric_declaration import DECIDING, ROLLBACK_PHASES, MetricRegistry
from observability.release_counts import ReleaseCounts

SUBMISSION: Final = "runs:submit"
ANSWERS: Final = ("permitted", "refused", "unanswered")

SLOW_SECONDS: Final = 0.1
"""The seconds beyond which a call's trace id is kept in the histogram, as an exemplar."""


class RegionGauges(Protocol):
    """The interface of a region as far as gauges show it: its condition, cordon and latency."""

    @property
    def condition(self) -> str: ...

    @property
    def cordoned(self) -> bool: ...

    @property
    def peak_ewma_seconds(self) -> float: ...


class CountedDecision(Protocol):
    """The interface of a policy decision as far as metrics count it: engine, action, result, duration."""

    @property
    def engine(self) -> str: ...

    @property
    def action(self) -> str: ...

    @property
    def revision(self) -> str: ...

    @property
    def allow(self) -> bool: ...

    @property
    def fault(self) -> str: ...

    @property
    def duration_seconds(self) -> float: ...


class Metrics:
    """The metrics of a gateway, an attribute for each, and their registry."""

    def __init__(self) -> None:
        self.registry = MetricRegistry()
        self._declare_calls(self.registry)
        self._declare_policy(self.registry)
        self._declare_regions(self.registry)
        self._declare_work(self.registry)
        self._request_children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._decision_children: dict[tuple[str, str, str], Counter] = {}
        self._submission_children: dict[str, dict[str, Counter]] = {}
        self._task_children: dict[tuple[str, str], Counter] = {}
        self._dispatch_children: dict[str, Histogram] = {}
        self._shown_conditions: dict[str, str] = {}
        self._shown_revision: tuple[str, str] | None = None

    def _declare_calls(self, registry: MetricRegistry) -> None:
        self.build = registry.gauge(process_metrics.BUILD)
        self.certificate_expiry = registry.gauge(process_metrics.CERTIFICATE_EXPIRY)
        self.loop_lag = registry.histogram(process_metrics.LOOP_LAG)
        self.spans = registry.counter(process_metrics.SPANS)
        self.disk_free = registry.gauge(process_metrics.DISK_FREE)
        self.requests = registry.counter(table.REQUESTS)
        self.request_seconds = registry.histogram(table.REQUEST_SECONDS)
        self.step_seconds = registry.histogram(table.STEP_SECONDS)
        self._steps = {
            step: self.step_seconds.labels(step) for step in ("authenticate", "read", "authorize", "admit")
        }
        self.connections = registry.gauge(table.CONNECTIONS)
        self.connections_maximum = registry.gauge(table.CONNECTIONS_MAXIMUM)

    def _declare_policy(self, registry: MetricRegistry) -> None:
        self.decision_seconds = registry.histogram(table.DECISION_SECONDS)
        self.decisions = registry.counter(table.DECISIONS)
        self.submission_decisions = registry.counter(table.SUBMISSION_DECISIONS)
        self.unrecorded_decisions = registry.counter(table.UNRECORDED_DECISIONS)
        self.shadow_flips = registry.counter(table.SHADOW_FLIPS)
        self.shadow_skipped = registry.counter(table.SHADOW_SKIPPED)
        self.policy_in_force = registry.gauge(table.POLICY_IN_FORCE)
        self.policy_bundles = registry.counter(table.POLICY_BUNDLES)
        self.policy_revision = registry.gauge(table.POLICY_REVISION)
        self.policy_stale = registry.gauge(table.POLICY_STALE)
        self.key_set_expiry = registry.gauge(table.KEY_SET_EXPIRY)
        self.alerts = registry.counter(table.ALERTS)
        self.rollbacks = registry.counter(table.ROLLBACKS)
        for phase in ROLLBACK_PHASES:
            self.rollbacks.labels(phase)  # what appears with its first count, `increase` does not see
        self.audit_alarms = registry.counter(table.AUDIT_ALARMS)
        self.retention_runs = registry.counter(table.RETENTION_RUNS)
        self.retention_entries = registry.counter(table.RETENTION_ENTRIES)
        self.retention_rows = registry.counter(table.RETENTION_ROWS)
        self.retention_archive_bytes = registry.counter(table.RETENTION_BYTES)
        self.retention_failures = registry.counter(table.RETENTION_FAILURES)
        self.retention_oldest = registry.gauge(table.RETENTION_OLDEST)
        self.retention_overdue = registry.gauge(table.RETENTION_OVERDUE)
        self.notifications = registry.counter(table.NOTIFICATIONS)
        self.notifications_waiting = registry.gauge(table.NOTIFICATIONS_WAITING)
        self.notifications_late = registry.gauge(table.NOTIFICATIONS_LATE)

    def _declare_regions(self, registry: MetricRegistry) -> None:
        self.regions = registry.gauge(table.REGION_CONDITION)
        self.region_cordoned = registry.gauge(table.REGION_CORDONED)
        self.region_score = registry.gauge(table.REGION_SCORE)
        self.region_latency = registry.gauge(table.REGION_LATENCY)
        self.cut_off = registry.gauge(table.CUT_OFF)
        self.failover_frozen = registry.gauge(table.FAILOVER_FROZEN)
        self.dispatch_seconds = registry.histogram(table.DISPATCH_SECONDS)
        self.dispatch_batch = registry.histogram(table.DISPATCH_BATCH)
        self.event_lag = registry.gauge(table.EVENT_LAG)
        self.lease_renewals = registry.counter(table.LEASE_RENEWALS)

    def _declare_work(self, registry: MetricRegistry) -> None:
        self.store_writable = registry.gauge(table.STORE_WRITABLE)
        self.shards = registry.gauge(table.SHARDS)
        self.queue_age = registry.gauge(table.QUEUE_AGE)
        self.ends = EndedShards(registry.counter(table.SHARDS_ENDED))
        self.releases = ReleaseCounts(registry.histogram(table.RELEASE_SHARD_SECONDS))
        self.tasks_ended = registry.counter(table.TASKS_ENDED)
        self.failovers = registry.counter(table.FAILOVERS)
        self.recovery_seconds = registry.histogram(table.RECOVERY_SECONDS)
        self.stale_reports = registry.counter(table.STALE_REPORTS)
        self.tombstones = registry.counter(table.TOMBSTONES)

    def count_request(self, call: str, outcome: str, seconds: float, trace_id: str) -> None:
        """Counts an answered API call by its outcome, and observes its duration.

        `call` and `outcome` are labels, from closed lists.
        """
        children = self._request_children.get((call, outcome))
        if children is None:
            children = (self.requests.labels(call, outcome), self.request_seconds.labels(call))
            self._request_children[call, outcome] = children
        children[0].inc()
        # An exemplar costs more than the observation: only the calls that somebody looks for have one.
        children[1].observe(seconds, {"trace_id": trace_id} if seconds > SLOW_SECONDS else None)

    def observe_step(self, step: str, seconds: float) -> None:
        """Observes the duration of one stage of an API call: authenticate, read, authorize or admit."""
        self._steps[step].observe(seconds)

    def count_decision(self, decision: CountedDecision) -> None:
        """Counts a policy decision by its result, and observes its duration."""
        outcome = "unanswered" if decision.fault else "permitted" if decision.allow else "refused"
        key = (decision.engine, decision.action, outcome)
        child = self._decision_children.get(key)
        if child is None:
            child = self._decision_children[key] = self.decisions.labels(*key)
        child.inc()
        self.decision_seconds.observe(decision.duration_seconds)
        if decision.action == SUBMISSION:
            self._count_submission(decision.revision, outcome)

    def _count_submission(self, revision: str, outcome: str) -> None:
        children = self._submission_children.get(revision)
        if children is None:
            if len(self._submission_children) == DECIDING.most:
                oldest = next(iter(self._submission_children))
                for known in self._submission_children.pop(oldest):
                    self.submission_decisions.remove(oldest, known)
            # All from the start: a counter that appears with its first refusal hides that one from rates.
            children = {one: self.submission_decisions.labels(revision, one) for one in ANSWERS}
            self._submission_children[revision] = children
        children[outcome].inc()

    def count_task(self, executor: str, outcome: str) -> None:
        """Counts a task, or a failed execution of one, by its executor and recorded outcome."""
        child = self._task_children.get((executor, outcome))
        if child is None:
            child = self._task_children[executor, outcome] = self.tasks_ended.labels(executor, outcome)
        child.inc()

    def observe_dispatch(self, region: str, seconds: float) -> None:
        """Observes the time from an attempt's placement until the region has confirmed the attempt."""
        child = self._dispatch_children.get(region)
        if child is None:
            child = self._dispatch_children[region] = self.dispatch_seconds.labels(region)
        child.observe(seconds)

    def observe_region(self, name: str, region: RegionGauges) -> None:
        """Sets the gauges of the region `name`: its condition, its cordon and its latency."""
        before = self._shown_conditions.get(name)
        if before != region.condition:
            if before is not None:
                self.regions.labels(name, before).set(0)
            self.regions.labels(name, str(region.condition)).set(1)
            self._shown_conditions[name] = region.condition
        self.region_cordoned.labels(name).set(region.cordoned)
        self.region_latency.labels(name).set(region.peak_ewma_seconds)

    def show_revision(self, engine: str, revision: str) -> None:
        """Sets the gauge of the policy revision in force, and removes that of the former revision."""
        if self._shown_revision == (engine, revision):
            return
        if self._shown_revision is not None:
            self.policy_revision.remove(*self._shown_revision)
        self.policy_revision.labels(engine, revision).set(1)
        self._shown_revision = (engine, revision)

    def show_connections(self, pool: str, maximum: int, count: Callable[[], int]) -> None:
        """Sets a connection pool's gauges: its maximum, and its open connections, counted by `count`."""
        self.connections_maximum.labels(pool).set(maximum)
        self.connections.labels(pool).set_function(count)
