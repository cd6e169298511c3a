"""Declares every metric of the gateway, once.

`Metrics()` is created once a process, with a registry of its own.

Label children that a hot path needs are kept: looking one up costs more than counting. No label holds a
tenant, a run or any other value that a caller chooses.
"""

from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

QUICK: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Histogram bucket bounds in seconds, for the waits within a request."""
RECOVERY: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)
"""Histogram bucket bounds in seconds for recovery, with the promised times among them."""
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class RegionGauges(Protocol):
    """The values of a region that its gauges show."""

    @property
    def condition(self) -> str: ...

    @property
    def peak_ewma_seconds(self) -> float: ...


class CountedDecision(Protocol):
    """What is counted of a decision."""

    @property
    def action(self) -> str: ...

    @property
    def allow(self) -> bool: ...

    @property
    def fault(self) -> str: ...


class Metrics:
    """The gateway's metrics and the registry that holds them; each attribute is one metric.

    The help texts are what Prometheus shows; docs/operating.md lists the names.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_requests(self.registry)
        self._declare_regions(self.registry)
        self._declare_shards(self.registry)
        self._request_children: dict[tuple[str, str], Counter] = {}
        self._decision_children: dict[tuple[str, str], Counter] = {}
        self._shown_conditions: dict[str, str] = {}

    def _declare_requests(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "waypost_requests",
            "Calls answered, by outcome: Ok, Accepted, Replayed, DryRun, or the problem's reason.",
            ["call", "outcome"],
            registry=registry,
        )
        self.decision_seconds = Histogram(
            "waypost_decision_seconds", "What policy took to answer.", buckets=QUICK, registry=registry
        )
        self.decisions = Counter(
            "waypost_decisions",
            "Decisions of policy, by action: permitted, refused, or unanswered.",
            ["action", "outcome"],
            registry=registry,
        )
        self.unrecorded_decisions = Counter(
            "waypost_unrecorded_decisions",
            "Refusals of which no record was kept, since there were too many or the store took none.",
            registry=registry,
        )
        self.audit_alarms = Counter(
            "waypost_audit_alarms",
            "The audit trail was found changed from outside: it is no longer sealed.",
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "waypost_commit_seconds",
            "What a durable acceptance waited for its commit.",
            buckets=QUICK,
            registry=registry,
        )
        self.loop_lag = Histogram(
            "waypost_loop_lag_seconds", "How late the event loop was.", buckets=QUICK, registry=registry
        )

        self.policy_bundles = Counter(
            "waypost_policy_bundles",
            "Bundles that were put into place for OPA: Activated or Refused.",
            ["outcome"],
            registry=registry,
        )

    def _declare_regions(self, registry: CollectorRegistry) -> None:
        self.regions = Gauge(
            "waypost_region_condition",
            "1 for the condition a region is in.",
            ["region", "condition"],
            registry=registry,
        )
        self.region_score = Gauge(
            "waypost_region_score",
            "What placement compares, lower is better: expected seconds until served.",
            ["region"],
            registry=registry,
        )
        self.region_latency = Gauge(
            "waypost_region_peak_ewma_seconds",
            "Peak EWMA of a region's round trips.",
            ["region"],
            registry=registry,
        )
        self.cut_off = Gauge(
            "waypost_cut_off",
            "1 while the gateway takes itself, not its regions, to be cut off: it places and moves nothing.",
            registry=registry,
        )
        self.dispatch_batch = Histogram(
            "waypost_dispatch_batch_size",
            "Attempts handed over in one call.",
            buckets=SIZES,
            registry=registry,
        )

    def _declare_shards(self, registry: CollectorRegistry) -> None:
        self.shards = Gauge("waypost_shards", "Shards under way, by phase.", ["phase"], registry=registry)
        self.shards_ended = Counter(
            "waypost_shards_ended", "Shards that ended, by phase.", ["phase"], registry=registry
        )
        self.failovers = Counter(
            "waypost_failovers", "Shards that left a lost region.", ["region"], registry=registry
        )
        self.recovery_seconds = Histogram(
            "waypost_recovery_seconds",
            "From the loss of a shard's region until it runs again.",
            buckets=RECOVERY,
            registry=registry,
        )
        self.stale_reports = Counter(
            "waypost_stale_reports",
            "Reports of superseded attempts, refused.",
            ["region"],
            registry=registry,
        )
        self.tombstones = Counter(
            "waypost_tombstones", "Orphaned attempts confirmed as gone.", ["region"], registry=registry
        )

    def count_request(self, call: str, outcome: str) -> None:
        """Counts one answered call. Both labels are words of this project, never a caller's."""
        child = self._request_children.get((call, outcome))
        if child is None:
            child = self._request_children[call, outcome] = self.requests.labels(call, outcome)
        child.inc()

    def count_decision(self, decision: CountedDecision) -> None:
        """Counts one decision of policy."""
        outcome = "unanswered" if decision.fault else "permitted" if decision.allow else "refused"
        child = self._decision_children.get((decision.action, outcome))
        if child is None:
            child = self.decisions.labels(decision.action, outcome)
            self._decision_children[decision.action, outcome] = child
        child.inc()

    def observe_region(self, name: str, region: RegionGauges) -> None:
        """Sets the gauges of condition and latency of the region `name`."""
        before = self._shown_conditions.get(name)
        if before != region.condition:
            if before is not None:
                self.regions.labels(name, before).set(0)
            self.regions.labels(name, str(region.condition)).set(1)
            self._shown_conditions[name] = region.condition
        self.region_latency.labels(name).set(region.peak_ewma_seconds)

    def exposition(self) -> bytes:
        """All metrics in the text format that Prometheus reads."""
        return generate_latest(self.registry)
