"""The state machine of a shard: the table `RULES` says which event moves it from which phases to which phase.

`advance` refuses an event that the table does not list for the phase. docs/architecture.md shows the table.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, structs

from clusters.protocol import AttemptId, Fence
from waypost.workflow.stages import name_in_cluster, name_in_gateway


class Phase(StrEnum):
    """The phase of a shard in its life cycle, from Pending to one of the terminal phases."""

    WAITING = "Waiting"
    """The shard is of a stage (`collect`, `finally`) whose time has not come."""
    PENDING = "Pending"
    DISPATCHING = "Dispatching"
    RUNNING = "Running"
    SUSPECT = "Suspect"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    QUARANTINED = "Quarantined"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the shard has ended; only a retry moves it out of a terminal phase."""
        return self in TERMINAL

    @property
    def placed(self) -> bool:
        """Whether the shard has a current attempt in a region."""
        return self in PLACED


TERMINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.QUARANTINED, Phase.CANCELLED})
PLACED: Final = frozenset({Phase.DISPATCHING, Phase.RUNNING, Phase.SUSPECT})


class Event(StrEnum):
    """An event that changes a shard's phase, such as a lost region, an ended attempt or a cancellation.

    `RULES` says in which phases each can occur, and when it is raised.
    """

    BEGUN = "Begun"
    OMITTED = "Omitted"
    INTENDED = "Intended"
    CONFIRMED = "Confirmed"
    REFUSED = "Refused"
    REGION_LOST = "RegionLost"
    REGION_BACK = "RegionBack"
    ABANDONED = "Abandoned"
    COMPLETED = "Completed"
    FAILED = "Failed"
    LOST = "Lost"
    EXHAUSTED = "Exhausted"
    UNCONFIRMED = "Unconfirmed"
    CANCELLED = "Cancelled"
    STOPPED = "Stopped"
    EXPIRED = "Expired"
    EXPIRY_ENFORCED = "ExpiryEnforced"
    UNREADABLE = "Unreadable"
    RETRIED = "Retried"
    REARMED = "Rearmed"


class Rule(Struct, frozen=True):
    """One row of the shard's state table: `event` moves a shard from any phase in `before` to `after`."""

    number: str
    """The number of the transition in the contract (docs/architecture.md)."""
    event: Event
    before: frozenset[Phase]
    after: Phase
    when: str
    """The condition of the transition, in words; the code that raises the event checks it."""
    leaves_orphan: bool = False
    """Whether the attempt becomes an orphan (T11): it may still run, or a late create call may start it."""


_WAITING: Final = frozenset({Phase.WAITING})
_PENDING: Final = frozenset({Phase.PENDING})
_DISPATCHING: Final = frozenset({Phase.DISPATCHING})
_SUSPECT: Final = frozenset({Phase.SUSPECT})
_CANCELLING: Final = frozenset({Phase.CANCELLING})
_ACTIVE: Final = _PENDING | PLACED
_OPEN: Final = _WAITING | _ACTIVE | _CANCELLING

RULES: Final[Sequence[Rule]] = (
    Rule("T2", Event.INTENDED, _PENDING, Phase.DISPATCHING,
         "the intent (next epoch, region, fence) is committed, before any call"),
    Rule("T3", Event.REFUSED, _DISPATCHING, Phase.PENDING,
         "the cluster never takes this epoch, or policy asked again no longer permits the region", True),
    Rule("T4", Event.CONFIRMED, _DISPATCHING, Phase.RUNNING, "the cluster has the attempt"),
    Rule("T5", Event.REGION_LOST, _DISPATCHING | {Phase.RUNNING}, Phase.SUSPECT, "the region is Unreachable"),
    Rule("T6", Event.REGION_BACK, _SUSPECT, Phase.DISPATCHING,
         "the region answers again: the same epoch is sent again under a new fence"),
    Rule("T7", Event.ABANDONED, _SUSPECT, Phase.PENDING,
         "it has waited long enough, and the gateway does not take itself to be cut off", True),
    Rule("T8", Event.COMPLETED, PLACED, Phase.SUCCEEDED,
         "the current attempt succeeded, and the result of every task is stored"),
    Rule("T9", Event.FAILED, PLACED, Phase.FAILED, "a task failed and its retries are used up"),
    Rule("T9", Event.LOST, PLACED, Phase.PENDING,
         "the attempt is lost, by no fault of a task; or its region died or was silent, maybe by it", True),
    Rule("T9", Event.EXHAUSTED, PLACED, Phase.QUARANTINED,
         "it was the last attempt or failover that the shard may have, or the last region that it may lose:"
         " in place of Lost, Abandoned, Refused and Unconfirmed", True),
    Rule("T10", Event.CANCELLED, _ACTIVE, Phase.CANCELLING, "the cancellation is committed on the run", True),
    Rule("T10", Event.STOPPED, _CANCELLING, Phase.CANCELLED,
         "every attempt is confirmed as gone, or listed where its region is out of reach"),
    Rule("T12", Event.EXPIRED, _ACTIVE, Phase.CANCELLING,
         "the deadline has passed, and the cluster has reported what ended in time or is out of reach", True),
    Rule("T12", Event.EXPIRY_ENFORCED, _CANCELLING, Phase.FAILED,
         "it expired, and every attempt is confirmed as gone, or listed where its region is out of reach"),
    Rule("T13", Event.RETRIED, frozenset({Phase.FAILED, Phase.QUARANTINED, Phase.CANCELLED}), Phase.PENDING,
         "an operator retries the run, with a fresh decision, deadline and counts"),
    Rule("T13", Event.REARMED, TERMINAL, Phase.WAITING,
         "an operator retries the run, and the shard's stage comes once more after the others"),
    Rule("T14", Event.UNCONFIRMED, _DISPATCHING, Phase.PENDING,
         "the fence has passed without an answer: no cluster takes the create any more", True),
    Rule("T15", Event.BEGUN, _WAITING, Phase.PENDING,
         "all main shards have Succeeded (`collect`), or all other shards have ended (`finally`)"),
    Rule("T16", Event.OMITTED, _WAITING, Phase.CANCELLED,
         "the main shards have ended, not all as Succeeded, or the run is cancelled (`collect`)"),
    Rule("", Event.UNREADABLE, _OPEN, Phase.QUARANTINED,
         "this version of the gateway cannot read the stored document", True),
)  # fmt: skip
"""The rows of the state table. T1 (makes a shard) and T11 (ends orphans) change no phase."""

TRANSITIONS: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (phase, rule.event): rule.after for rule in RULES for phase in Phase if phase in rule.before
}
LEAVES_ORPHAN: Final = frozenset(rule.event for rule in RULES if rule.leaves_orphan)
"""The events after which the shard's attempt is listed as an orphan: it may still run."""


class Orphan(Struct, frozen=True, kw_only=True, gc=False):
    """An attempt that is no longer its shard's current one and may still run in its region."""

    region: str
    epoch: int
    incarnation: str = ""
    """The incarnation of the journal that the attempt was handed to."""


class Shard(Struct, frozen=True, kw_only=True):
    """One shard of a run as the store keeps it: the tasks of the workflow for one `item` of its data.

    Has the shard's phase, its region, and the number (`epoch`) of its current or last attempt.
    """

    run: str
    index: int
    item: Any = None
    phase: Phase = Phase.PENDING
    epoch: int = 0
    region: str | None = None
    incarnation: str = ""
    """The incarnation of the journal that the attempt was handed to; empty until it is known."""
    routing: int = 0
    """The number of the routing revision that placed the last attempt; 0: none, the settings alone."""
    fence: Fence | None = None
    """The end of the time in which the cluster may accept the create call, on the cluster's own clock."""
    placed_at: float = 0.0
    """The time at which the attempt was placed, in seconds since 1970; 0: not known."""
    suspect_since: float | None = None
    """The time at which the shard became Suspect, in seconds since 1970; it is only shown to people."""
    orphans: tuple[Orphan, ...] = ()
    attempts_lost: int = 0
    failovers: int = 0
    regions_lost: int = 0
    """The number of recent region losses (died, or silent for good) while a task of the shard ran there."""
    region_lost_at: float = 0.0
    """The time of the last region loss that counts against the shard, in wall-clock seconds since 1970."""
    not_before: float = 0.0
    """The end of a Pending shard's back-off, in wall-clock seconds since 1970."""
    reason: str = ""
    rev: int = 0
    """The stored revision, which every write compares and swaps on."""

    @property
    def key(self) -> tuple[str, int]:
        """The shard's key in the store: its run's id and its index."""
        return (self.run, self.index)

    @property
    def attempt(self) -> AttemptId:
        """The id of the shard's current attempt, or of its last one if none is current."""
        return attempt_id(self.run, self.index, self.epoch)

    def with_rev(self, rev: int) -> "Shard":
        """Returns a copy of the shard with `rev` as the revision number of its stored row."""
        return structs.replace(self, rev=rev)

    def find_orphan(self, region: str, epoch: int) -> Orphan | None:
        """Returns the shard's orphan with that epoch in that region; None if no such orphan is listed."""
        return next(
            (orphan for orphan in self.orphans if (orphan.region, orphan.epoch) == (region, epoch)), None
        )

    def without_orphan(self, orphan: Orphan) -> "Shard":
        """Returns a copy of the shard with `orphan` removed from its list of orphans."""
        return structs.replace(self, orphans=tuple(other for other in self.orphans if other != orphan))


def attempt_id(run: str, index: int, epoch: int) -> AttemptId:
    """Returns the id under which clusters know an attempt of the shard `index` of a run."""
    name, shard = name_in_cluster(run, index)
    return AttemptId(run=name, shard=shard, epoch=epoch)


def key_of(attempt: AttemptId) -> tuple[str, int]:
    """Returns the key in the store, run and index, of the shard that an attempt is of."""
    return name_in_gateway(attempt.run, attempt.shard)


class InvalidTransition(Exception):
    """Raised where an event does not fit a shard's phase: `RULES` has no such transition."""


def advance(shard: Shard, event: Event, *, reason: str = "", **changes: Any) -> Shard:
    """Applies `event` to a shard: returns the shard in its next phase, with `changes` to its fields.

    An event that ends the attempt, other than by success, clears the region; one in `LEAVES_ORPHAN` lists the
    attempt as an orphan too. `rev` stays: several events may go into one write. Raises `InvalidTransition`
    for an event that the phase does not take.
    """
    phase = TRANSITIONS.get((shard.phase, event))
    if phase is None:
        raise InvalidTransition(f"{event} while {shard.phase}")
    if event in LEAVES_ORPHAN and shard.region is not None:
        orphan = Orphan(region=shard.region, epoch=shard.epoch, incarnation=shard.incarnation)
        changes["orphans"] = (*shard.orphans, orphan)
    # A shard that succeeded keeps its region, for people who ask where it ran.
    if phase not in PLACED and phase is not Phase.SUCCEEDED:
        changes = {"region": None, "incarnation": "", "fence": None, "suspect_since": None} | changes
    return structs.replace(shard, phase=phase, reason=reason, **changes)
