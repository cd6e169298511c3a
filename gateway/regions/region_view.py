"""`RegionView`: the state of a region at one moment, for placement and for the API."""

from msgspec import Struct

from clusters.protocol import ClusterStatus
from gateway.core.instant import Instant
from gateway.regions.health import RegionHealth, condition_with_journal
from gateway.regions.health_over_time import slow_start_weight
from gateway.regions.latency import NEVER, peak_at
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.routing import UNROUTED, RegionRouting
from gateway.settings import HealthSettings


class RegionView(Struct, frozen=True, kw_only=True):
    """The state of a region at one moment: its condition, latency, weight, load and taints."""

    name: str
    condition: RegionCondition
    reason: str = ""
    """The reason for the condition, as a sentence for people: `3 probes failed: Timeout`."""
    since: float = 0.0
    """The time at which the condition began, in wall-clock seconds since 1970; 0 if it has never changed."""
    peak_ewma_seconds: float
    """The estimated latency in seconds: the peak EWMA, decayed to this moment."""
    weight: float = 1.0
    """The region's share of work relative to others, above 0.

    It is the weight of the routing revision, else of the settings, times that of slow start.
    """
    engine: str = ""
    """The engine of the region's cluster; empty if the settings do not name the region."""
    inflight: int
    """The number of attempts that are, or may still be, in the region."""
    free_slots: int
    """The number of further attempts that the region takes until it is full."""
    status: ClusterStatus | None = None
    """The last report of the region's cluster: executors, processors, queue. None before the first."""
    taints: frozenset[Taint] = frozenset()
    routing: RegionRouting = UNROUTED
    """What the routing revision in force says of the region; its weight is in `weight` already."""
    counted: bool = True
    """Whether the blackout guard counts the region; not if it is forgotten or out of the settings."""

    @property
    def lost(self) -> bool:
        """Whether the region is unreachable, and has not been given up for good.

        One that is forgotten or out of the settings stays unreachable for ever.
        """
        return self.counted and self.condition is RegionCondition.UNREACHABLE

    @property
    def queued(self) -> int:
        """The number of tasks in the region that are ready and wait for a processor."""
        return 0 if self.status is None else self.status.queued

    @property
    def executors(self) -> tuple[str, ...]:
        """The types of tasks that the region's cluster can execute."""
        return () if self.status is None else self.status.executors

    @property
    def exclusive_executors(self) -> tuple[str, ...] | None:
        """The types of tasks that may be exclusive there; None where its cluster does not report them."""
        return None if self.status is None else self.status.exclusive

    @property
    def features(self) -> tuple[str, ...]:
        """The features that the region's cluster has reported (`clusters.features`)."""
        return () if self.status is None else self.status.features

    @property
    def cpu(self) -> float | None:
        """The number of the region's processors; None where its cluster does not report it."""
        return None if self.status is None else self.status.cpu

    @property
    def memory_mib(self) -> int | None:
        """The MiB of the region's memory; None where its cluster does not report it, or does not count it."""
        return None if self.status is None else self.status.memory_mib

    @property
    def tenants(self) -> tuple[str, ...] | None:
        """The tenants of which a cluster without isolation has tasks or files; None where it takes any."""
        return None if self.status is None else self.status.tenants

    @property
    def isolation(self) -> str | None:
        """Whether `process` tasks run in sandboxes there; None where its cluster does not report it."""
        return None if self.status is None or self.status.isolation is None else self.status.isolation.value

    @property
    def trusted_tenants(self) -> bool:
        """Whether its cluster takes tasks of many tenants although it does not isolate them."""
        return self.status is not None and self.status.trusted_tenants

    @property
    def cordoned(self) -> bool:
        """Whether an operator (`cordon`) or the routing revision in force wants no new work in the region."""
        return Taint.CORDONED in self.taints or self.routing.cordon

    @property
    def forgotten(self) -> bool:
        """Whether an operator has given the region up for good (`forget`)."""
        return Taint.FORGOTTEN in self.taints


def region_view(
    health: RegionHealth,
    *,
    status: ClusterStatus | None,
    inflight: int,
    now: Instant,
    settings: HealthSettings,
    weight: float = 1.0,
    engine: str = "",
    taints: frozenset[Taint] = frozenset(),
    routing: RegionRouting = UNROUTED,
    admitted: bool = True,
    unknown_journal: str = "",
    counted: bool = True,
) -> RegionView:
    """Builds the view of a region at `now`.

    `weight` is that of the settings; slow start lowers it in the view. `routing` is what the routing
    revision in force says of the region. `admitted`: the cluster's journal is the one that operators bound
    to the region's name, and its event stream is open. `unknown_journal`: the incarnation
    of another journal that answers; empty if there is none.
    """
    condition, reason = condition_with_journal(health, admitted=admitted, unknown_journal=unknown_journal)
    return RegionView(
        name=health.name,
        condition=condition,
        reason=reason,
        since=now.wall - (now.monotonic - health.since) if health.since > NEVER else 0.0,
        peak_ewma_seconds=peak_at(health.ewma, now.monotonic, settings.ewma_tau_seconds),
        engine=engine,
        weight=(routing.weight or weight) * slow_start_weight(health, now.monotonic, settings),
        inflight=inflight,
        # the cluster may hold attempts that are not counted here yet, and not yet hold ones that are on their
        # way
        free_slots=0 if status is None else max(0, status.slots - max(inflight, status.held)),
        status=status,
        taints=taints,
        routing=routing,
        counted=counted,
    )
