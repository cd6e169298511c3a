"""Decides how long a cluster keeps the records of ended attempts and of tombstones (orders to end one).

The files of a shard are kept as long as its records.
"""

from collections.abc import Container, Iterable, Mapping

from msgspec import Struct

from clusters.embedded.capabilities import Tenants
from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import AttemptId

SUCCEEDED_RETENTION_SECONDS = 24 * 3600.0
"""The seconds for which attempts that succeeded are kept, so that their logs can be read."""
RETENTION_SECONDS = 30 * 24 * 3600.0
"""The seconds for which failed and lost attempts, and orders to end one (tombstones), are kept.

A retry may build on the workspace of such an attempt.
"""


class EndedAttempt(Struct, frozen=True, kw_only=True, gc=False):
    """The record that a cluster keeps of an ended attempt whose results the gateway has committed."""

    end_seq: int
    ended_at: float
    """The time of the attempt's end, in seconds since 1970."""
    succeeded: bool


class Retention:
    """The records of ended attempts and of tombstones (orders to end one), of which it finds the expired.

    Tombstones are kept with their time, in seconds since 1970. `tenants` are those of which there may be
    files, kept as long as there are records.
    """

    def __init__(
        self,
        tombstones: Mapping[AttemptId, float],
        ended: Mapping[AttemptId, EndedAttempt],
        tenants: Tenants,
    ) -> None:
        self.tombstones, self.ended, self.tenants = dict(tombstones), dict(ended), tenants

    def add_tombstone(self, identity: AttemptId, wall: float) -> None:
        """Records a tombstone (an order to end an attempt), in place of the record of the ended attempt.

        `wall` is the time of the order, in seconds since 1970.
        """
        self.tombstones[identity] = wall
        self.ended.pop(identity, None)

    def add_ended(self, attempt: Attempt) -> None:
        self.ended[attempt.id] = EndedAttempt(
            end_seq=attempt.end_seq, ended_at=attempt.ended_at, succeeded=attempt.succeeded
        )

    def expired(self, wall: float, held: Container[AttemptId]) -> list[AttemptId]:
        """Returns the ended attempts and tombstones (orders to end one) whose retention is over at `wall`.

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
        """Returns the shards, as (run, shard), of all records that are kept."""
        return {(identity.run, identity.shard) for kept in (self.ended, self.tombstones) for identity in kept}
