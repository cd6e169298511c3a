"""Decides how long records of ended attempts and orders to end one (tombstones) are kept, with files."""

from collections.abc import Container, Iterable, Mapping

from msgspec import Struct

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId

SUCCEEDED_RETENTION_SECONDS = 24 * 3600.0
"""The seconds for which attempts that succeeded are kept, so that their logs can be read."""
RETENTION_SECONDS = 30 * 24 * 3600.0
"""The seconds for which failed and lost attempts, and orders to end one (tombstones), are kept.

A retry may build on the workspace of such an attempt.
"""


class EndedAttempt(Struct, frozen=True, kw_only=True, gc=False):
    """The record that is kept of an ended attempt after the gateway has acknowledged its end.

    The gateway has its results by then.
    """

    end_seq: int
    ended_at: float
    """The time of the attempt's end, in seconds since 1970."""
    succeeded: bool


class Retention:
    """Keeps records of ended attempts and of orders to end one (tombstones), and finds expired ones.

    Tombstones are kept with their time, in seconds since 1970.
    """

    def __init__(
        self, tombstones: Mapping[AttemptId, float], ended: Mapping[AttemptId, EndedAttempt]
    ) -> None:
        self.tombstones, self.ended = dict(tombstones), dict(ended)

    def add_tombstone(self, identity: AttemptId, wall: float) -> None:
        """Records an order of time `wall` to end an attempt (a tombstone), replacing the attempt's record."""
        self.tombstones[identity] = wall
        self.ended.pop(identity, None)

    def add_ended(self, attempt: Attempt) -> None:
        self.ended[attempt.id] = EndedAttempt(
            end_seq=attempt.end_seq, ended_at=attempt.ended_at, succeeded=attempt.succeeded
        )

    def expired(self, wall: float, held: Container[AttemptId]) -> list[AttemptId]:
        """Returns the ended attempts and tombstones (orders to end one) past their retention at `wall`.

        `wall` is in seconds since 1970. A tombstone stays while its attempt is among those `held`.
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
        """Returns the (run, shard) pairs of the records that are kept."""
        return {(identity.run, identity.shard) for kept in (self.ended, self.tombstones) for identity in kept}
