"""The life of a shard, as a table: which event may move it, where to, and nothing else.

The T-numbers are those of the contract (docs/architecture.md repeats them). What is not in the table did not happen: `advance` refuses it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, structs

from clusters.protocol import AttemptId, Fence


class Phase(StrEnum):
    """Where a shard is in its life."""

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
        return self in TERMINAL

    @property
    def placed(self) -> bool:
        """An attempt is current in a region."""
        return self in PLACED


TERMINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.QUARANTINED, Phase.CANCELLED})
PLACED: Final = frozenset({Phase.DISPATCHING, Phase.RUNNING, Phase.SUSPECT})


class Event(StrEnum):
    """What may happen to a shard."""

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
    UNREADABLE = "Unreadable"
    RETRIED = "Retried"


TRANSITIONS: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (Phase.PENDING, Event.INTENDED): Phase.DISPATCHING,  # T2
    (Phase.DISPATCHING, Event.CONFIRMED): Phase.RUNNING,  # T4
    (
        Phase.DISPATCHING,
        Event.REFUSED,
    ): Phase.PENDING,  # T3: the cluster will never take this epoch, or policy no longer permits it there
    (Phase.DISPATCHING, Event.REGION_LOST): Phase.SUSPECT,  # T5
    (Phase.RUNNING, Event.REGION_LOST): Phase.SUSPECT,  # T5
    (Phase.SUSPECT, Event.REGION_BACK): Phase.DISPATCHING,  # T6
    (Phase.SUSPECT, Event.ABANDONED): Phase.PENDING,  # T7
    **{
        (phase, Event.COMPLETED): Phase.SUCCEEDED for phase in PLACED
    },  # T8, before its start was seen or behind a lost road too
    **{(phase, Event.FAILED): Phase.FAILED for phase in PLACED},  # T9, a task failed for good
    **{(phase, Event.LOST): Phase.PENDING for phase in PLACED},  # T9
    **{
        (phase, Event.EXHAUSTED): Phase.QUARANTINED for phase in PLACED
    },  # T9, the last attempt that it may have
    **{(phase, Event.CANCELLED): Phase.CANCELLING for phase in (Phase.PENDING, *PLACED)},  # T10
    (Phase.CANCELLING, Event.STOPPED): Phase.CANCELLED,  # T10
    **{(phase, Event.EXPIRED): Phase.FAILED for phase in (Phase.PENDING, Phase.CANCELLING, *PLACED)},  # T12
    **{
        (phase, Event.UNREADABLE): Phase.QUARANTINED for phase in (Phase.PENDING, Phase.CANCELLING, *PLACED)
    },  # its document is not taken
    **{
        (phase, Event.RETRIED): Phase.PENDING for phase in (Phase.FAILED, Phase.QUARANTINED, Phase.CANCELLED)
    },  # T13
    (Phase.DISPATCHING, Event.UNCONFIRMED): Phase.PENDING,  # T14
}

LEAVES_ORPHAN: Final = frozenset(
    {
        Event.ABANDONED,
        Event.LOST,
        Event.EXHAUSTED,
        Event.UNCONFIRMED,
        Event.CANCELLED,
        Event.EXPIRED,
        Event.REFUSED,
        Event.UNREADABLE,
    }
)
"""After these the attempt may still run somewhere, or a late create may start it: it is listed until a tombstone is confirmed (T11)."""


class Orphan(Struct, frozen=True, kw_only=True, gc=False):
    """An attempt that is no longer the shard's own and may still run."""

    region: str
    epoch: int
    incarnation: str = ""
    """The journal that the attempt was handed to."""


class Shard(Struct, frozen=True, kw_only=True):
    """One slice of a run, as stored. `rev` is what every write compares and swaps on.

    `not_before` is wall-clock seconds since 1970: a Pending shard that waits for its back-off. `suspect_since` likewise, for people:
    waiting is measured on the controller's own monotonic clock.
    """

    run: str
    index: int
    item: Any = None
    phase: Phase = Phase.PENDING
    epoch: int = 0
    region: str | None = None
    incarnation: str = ""
    """The journal that the attempt was handed to; empty until it is known."""
    fence: Fence | None = None
    suspect_since: float | None = None
    orphans: tuple[Orphan, ...] = ()
    attempts_lost: int = 0
    failovers: int = 0
    not_before: float = 0.0
    reason: str = ""
    rev: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return (self.run, self.index)

    @property
    def attempt(self) -> AttemptId:
        return AttemptId(run=self.run, shard=self.index, epoch=self.epoch)

    def at(self, rev: int) -> "Shard":
        return structs.replace(self, rev=rev)

    def orphan(self, region: str, epoch: int) -> Orphan | None:
        return next(
            (orphan for orphan in self.orphans if (orphan.region, orphan.epoch) == (region, epoch)), None
        )

    def without(self, orphan: Orphan) -> "Shard":
        return structs.replace(self, orphans=tuple(other for other in self.orphans if other != orphan))


class Refused(Exception):
    """The event does not fit the shard's phase, or names an attempt that is no longer its own."""


def advance(shard: Shard, event: Event, *, reason: str = "", **changes: Any) -> Shard:
    """The shard after `event`; `changes` are further fields the transition sets.

    An event that ends the attempt clears the region; one in `LEAVES_ORPHAN` lists the attempt as well.
    `rev` stays: several events may go into one write. Raises `Refused` for an event that the phase does not take.
    """
    phase = TRANSITIONS.get((shard.phase, event))
    if phase is None:
        raise Refused(f"{event} while {shard.phase}")
    if event in LEAVES_ORPHAN and shard.region is not None:
        changes["orphans"] = (
            *shard.orphans,
            Orphan(region=shard.region, epoch=shard.epoch, incarnation=shard.incarnation),
        )
    if phase not in PLACED and phase is not Phase.SUCCEEDED:
        changes = {"region": None, "incarnation": "", "fence": None, "suspect_since": None} | changes
    return structs.replace(shard, phase=phase, reason=reason, **changes)
