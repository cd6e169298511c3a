"""What a cluster still knows of attempts that are over: as little as may be, for as long as somebody could ask."""

from collections.abc import Container, Mapping

from clusters.embedded.scheduling.state import Attempt, Past
from clusters.protocol import AttemptId

DONE_SECONDS = 24 * 3600.0
"""What succeeded, and is acknowledged, is kept for so long: its logs and its workspace, that is."""
KEPT_SECONDS = 30 * 24 * 3600.0
"""What did not: a retry may still build on what its tasks left in the workspace. Tombstones too."""


class Memory:
    """`tombstones`, and when each was set by the wall clock; `past` attempts, whose end was acknowledged."""

    def __init__(self, tombstones: Mapping[AttemptId, float], past: Mapping[AttemptId, Past]) -> None:
        self.tombstones, self.past = dict(tombstones), dict(past)

    def bury(self, identity: AttemptId, wall: float) -> bool:
        """Whether that is new."""
        new = identity not in self.tombstones
        self.tombstones.setdefault(identity, wall)
        self.past.pop(identity, None)
        return new

    def keep(self, attempt: Attempt) -> None:
        self.past[attempt.id] = Past(end_seq=attempt.end_seq, at=attempt.at, succeeded=attempt.succeeded)

    def forget(self, wall: float, held: Container[AttemptId]) -> list[AttemptId]:
        """Lets go of what is old enough; a tombstone stays while its attempt is `held`."""
        past = [
            identity
            for identity, past in self.past.items()
            if past.at < wall - (DONE_SECONDS if past.succeeded else KEPT_SECONDS)
        ]
        buried = [
            identity
            for identity, at in self.tombstones.items()
            if at < wall - KEPT_SECONDS and identity not in held
        ]
        for identity in past:
            del self.past[identity]
        for identity in buried:
            del self.tombstones[identity]
        return past + buried

    @property
    def shards(self) -> set[tuple[str, int]]:
        return {(identity.run, identity.shard) for kept in (self.past, self.tombstones) for identity in kept}
