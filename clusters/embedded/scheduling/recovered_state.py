"""The type of the state that a cluster's scheduler starts with, which is read from the journal once."""

from dataclasses import dataclass, field

from clusters.embedded.ownership import Owner
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.retention import EndedAttempt
from clusters.protocol import AttemptId


@dataclass(kw_only=True)
class RecoveredState:
    """The state of a cluster after a restart; its default values are the state of a new cluster."""

    incarnation: str
    owner: Owner = field(default_factory=Owner)
    seq: int = 0
    """The sequence number (seq) of the newest event."""
    acknowledged: int = 0
    """The seq of the last event whose effects the gateway has committed."""
    attempts: list[Attempt] = field(default_factory=list)
    """The attempts that go on, and those whose end is not acknowledged yet."""
    ended: dict[AttemptId, EndedAttempt] = field(default_factory=dict)
    """The attempts whose end was acknowledged."""
    tombstones: dict[AttemptId, float] = field(default_factory=dict)
    """The times, in seconds since 1970, at which the gateway ordered attempts to end (tombstones)."""
    highest: dict[tuple[str, int], int] = field(default_factory=dict)
    """The newest epoch for which a create or an order to end was taken here, by (run, shard)."""
