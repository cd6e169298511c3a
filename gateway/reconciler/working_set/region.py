"""The controller's state of one region: its link, its health, its cluster's journal, calls and events."""

from dataclasses import dataclass, field

from clusters.protocol import AttemptId, ClusterStatus, Fence, Renewal
from gateway.core.instant import NEVER, Instant
from gateway.reconciler.links.interface import Link
from gateway.reconciler.links.removed_region import RemovedRegionLink
from gateway.regions.health import RegionHealth, removed_health
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView, region_view
from gateway.regions.routing import UNROUTED, RegionRouting
from gateway.settings import HealthSettings
from gateway.store.interface import Cursor


@dataclass(kw_only=True, slots=True, repr=False)
class Region:
    """A region in the controller's memory: its link, health, journal, cursor and taints.

    Times are the controller's monotonic seconds.
    """

    name: str
    link: Link
    health: RegionHealth
    logged_condition: RegionCondition | None = RegionCondition.UNKNOWN
    """The condition that was last logged; None: the next one is logged in any case."""
    logged_cause: str = ""
    """The cause that was last logged for an Unreachable region."""
    weight: float = 1.0
    """The region's share of work in the settings, relative to other regions."""
    engine: str = ""
    """The engine of the region's cluster; empty if the settings do not name the region."""
    status: ClusterStatus | None = None
    """The status that the region's own journal last reported; None before the first report."""
    status_at: float = NEVER
    """The time at which `status` was received."""
    beat_at: float = NEVER
    """The time of the last beat (keep-alive event): all older events were received before it."""
    reopened_at: float = NEVER
    """The time at which events were last requested again from the committed cursor on."""
    stream_opened: bool = False
    """Whether the region's event stream has been opened since this gateway started."""
    says_restored: bool = False
    """Whether the cluster has refused the stream as that of a restored store, which is not decided yet."""
    restored_since: float = NEVER
    """The time at which the cluster first reported a restored store since this gateway started."""
    incarnation: str = ""
    """The incarnation of the journal that the region's name is bound to; empty before the first answer."""
    unknown_journal: str = ""
    """The incarnation of another journal that answers under this name; empty without one.

    It gets no work until an operator releases the old journal.
    """
    binding_checked_at: float = NEVER
    """The time at which the store was last asked which journal the name is bound to."""
    cursor: Cursor = field(default_factory=Cursor)
    """The position up to which the region's events are in the working set; the next write commits it."""
    cursor_dirty: bool = False
    """Whether `cursor` has changes that are not committed yet."""
    acknowledged: int = 0
    """The sequence number up to which the cluster was last sent that its events are committed."""
    acknowledged_at: float = NEVER
    compared_at: float = NEVER
    """The time at which the attempts that the cluster holds were last compared with the shards."""
    renewals: dict[AttemptId, Renewal] = field(default_factory=dict)
    """The run-leases that the next batch renews."""
    unknown_attempts: dict[AttemptId, float] = field(default_factory=dict)
    """The attempts in the region that no shard lists, and when each was last ordered to end."""
    removed: bool = False
    """Whether shards name the region, but the settings no longer do."""
    bad_answer: str = ""
    """The last answer of the cluster that could not be true, as text."""
    bad_answer_at: float = NEVER
    """The time of the last answer that could not be true."""
    taints: frozenset[Taint] = frozenset()
    """The taints that operators have set, as of the last scan of the store."""
    routing: RegionRouting = UNROUTED
    """What the routing revision in force says of the region, as of the last scan of the store."""

    def __repr__(self) -> str:
        """Returns text such as `<Region beijing Healthy, journal 5f3c admitted, cursor 12, can send>`."""
        journal = self.incarnation or "none"
        marks = [
            "can send" if self.link.can_send else "batches under way",
            *(sorted(self.taints)),
            *(["removed from the settings"] if self.removed else []),
            *([f"another journal answers: {self.unknown_journal}"] if self.unknown_journal else []),
            *([f"{len(self.unknown_attempts)} unknown attempts"] if self.unknown_attempts else []),
            *([f"{len(self.renewals)} renewals"] if self.renewals else []),
        ]
        return (
            f"<Region {self.name} {self.health.condition}, journal {journal}"
            f" {'admitted' if self.admitted else 'not admitted'},"
            f" boot {'unknown' if self.status is None else self.status.boot},"
            f" cursor {self.cursor.seq}{' dirty' if self.cursor_dirty else ''}"
            f" (acknowledged {self.acknowledged}), {', '.join(marks)}>"
        )

    @property
    def counted(self) -> bool:
        """Returns whether blackout detection counts this region: it is neither forgotten nor removed.

        One that is out of the settings or forgotten stays lost for ever: a few of them would make any outage
        look like a blackout.
        """
        return Taint.FORGOTTEN not in self.taints and not self.removed

    @property
    def cordoned(self) -> bool:
        """Returns whether an operator or the routing revision in force wants no new work in the region."""
        return Taint.CORDONED in self.taints or self.routing.cordon

    @property
    def admitted(self) -> bool:
        """Returns whether the bound cluster journal answers under the region's name, with an open stream.

        A cluster does not open the event stream for a store that holds less than was acknowledged to the
        cluster: that store is an old copy, and nothing may be sent by it.
        """
        if self.status is None or self.unknown_journal or not self.stream_opened:
            return False
        return bool(self.incarnation) and self.status.incarnation == self.incarnation

    @property
    def event_lag(self) -> int:
        """Returns the number of events in the cluster's journal that the gateway has not received yet.

        The count is that of the cluster's last status; 0 if the gateway has none from this journal.
        """
        if self.status is None or self.status.incarnation != self.cursor.incarnation:
            return 0
        return max(0, self.status.seq - self.cursor.seq)

    def reopen_stream(self, now: Instant) -> None:
        """Opens the event stream again at `cursor`, so that uncommitted events are received again."""
        self.reopened_at = now.monotonic
        self.link.reopen_stream(self.cursor)

    def has_reported(self, until: float) -> bool:
        """Returns whether all events that the cluster had by `until` (monotonic seconds) have arrived."""
        return self.beat_at > max(until, self.reopened_at)

    def fence(self, now: Instant, seconds: float) -> Fence | None:
        """Returns the fence `seconds` from now, on the cluster's clock; None where its status is unknown.

        A fence is the uptime after which the cluster takes no create request. It may be early but never late,
        since the time that the last status took to arrive is not added.
        """
        if self.status is None:
            return None
        uptime = self.status.uptime + (now.monotonic - self.status_at)
        return Fence(boot=self.status.boot, not_after=uptime + seconds)

    def uptime_at(self, wall: float | None, now: Instant) -> float | None:
        """Converts `wall`, in seconds since 1970, to the cluster's uptime; None if either is unknown."""
        if wall is None or self.status is None:
            return None
        return self.status.uptime + (now.monotonic - self.status_at) + (wall - now.wall)

    def view(self, now: Instant, settings: HealthSettings, *, inflight: int) -> RegionView:
        """Returns the region's view for placement and API; `inflight` is the number of its attempts."""
        return region_view(
            self.health,
            status=self.status,
            inflight=inflight,
            now=now,
            settings=settings,
            weight=self.weight,
            engine=self.engine,
            taints=self.taints,
            routing=self.routing,
            admitted=self.admitted,
            unknown_journal=self.unknown_journal,
            counted=self.counted,
        )


def removed_region(name: str, now: Instant) -> Region:
    """Creates the state of a region that shards name but the settings do not: it is Unreachable.

    Its shards move, as those of any lost region; its orphans stay listed until an operator forgets it.
    """
    health = removed_health(name, now.monotonic, "not among the settings any more")
    link = RemovedRegionLink(name)
    return Region(name=name, link=link, health=health, logged_condition=None, removed=True)
