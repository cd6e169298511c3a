"""How long a cluster keeps what is over: tombstones and ended attempts, and with them logs and workspaces."""

from collections.abc import Container, Iterable, Mapping

from msgspec import Struct

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId

SUCCEEDED_RETENTION_SECONDS = 24 * 3600.0
"""For attempts that succeeded: their logs may still be read."""
RETENTION_SECONDS = 30 * 24 * 3600.0
"""For failed and lost attempts, because a retry may build on what their tasks left in the workspace; and for tombstones."""


class EndedAttempt(Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of an attempt when the gateway has acknowledged its end. Its tasks and results are the gateway's by then."""

    end_seq: int
    ended_at: float
    """Seconds since 1970."""
    succeeded: bool


class Retention:
    """Keeps `tombstones` (with the time of each, in seconds since 1970) and `ended` attempts until they expire."""

    def __init__(
        self, tombstones: Mapping[AttemptId, float], ended: Mapping[AttemptId, EndedAttempt]
    ) -> None:
        self.tombstones, self.ended = dict(tombstones), dict(ended)

    def add_tombstone(self, identity: AttemptId, wall: float) -> None:
        """The tombstone replaces what was kept of an ended attempt."""
        self.tombstones[identity] = wall
        self.ended.pop(identity, None)

    def add_ended(self, attempt: Attempt) -> None:
        self.ended[attempt.id] = EndedAttempt(
            end_seq=attempt.end_seq, ended_at=attempt.ended_at, succeeded=attempt.succeeded
        )

    def expired(self, wall: float, held: Container[AttemptId]) -> list[AttemptId]:
        """What is past its retention at `wall`.

        A tombstone does not expire while the cluster holds its attempt: the attempt must not start again.
        """
        ended = [
            identity
            for identity, attempt in self.ended.items()
            if attempt.ended_at
            < wall - (SUCCEEDED_RETENTION_SECONDS if attempt.succeeded else RETENTION_SECONDS)
        ]
        tombstones = [
            identity
            for identity, at in self.tombstones.items()
            if at < wall - RETENTION_SECONDS and identity not in held
        ]
        return ended + tombstones

    def remove(self, identities: Iterable[AttemptId]) -> None:
        for identity in identities:
            self.ended.pop(identity, None)
            self.tombstones.pop(identity, None)

    @property
    def shards(self) -> set[tuple[str, int]]:
        """The (run, shard) pairs of which anything is kept."""
        return {(identity.run, identity.shard) for kept in (self.ended, self.tombstones) for identity in kept}
