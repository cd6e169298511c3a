"""Simulates a store that fails or has another writer, and a policy that changes its answers."""

import contextlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.core.decision import Decision, Obligations, Question
from gateway.core.errors import Unavailable
from gateway.core.shard_states import Shard
from gateway.store.interface import Cursor, ShardWrite, Store

FAULT_RATE = 0.004
"""The share of commits with another writer first, and of those at which the gateway is killed."""


class GatewayKilled(Exception):
    """Raised to simulate that the gateway's process ended at this point."""


class StoreObserver(Protocol):
    """The protocol (interface) of the world that a store asks for faults and has check each commit."""

    trouble: float
    rng: random.Random
    store_is_out: bool

    def check_writes(self, writes: Sequence[ShardWrite]) -> None: ...

    def check_cursors(self, cursors: Mapping[str, Cursor]) -> None: ...

    def check_stages(self, run: str, stored: Iterable[Shard]) -> None: ...

    def note_conflict(self, key: tuple[str, int]) -> None: ...


class UnreliableStore:
    """A real store that is made to fail at random.

    `record` may kill the gateway just before or after its commit, or meet a row that another writer has
    changed.
    """

    def __init__(self, store: Store, world: StoreObserver) -> None:
        self._store, self._world = store, world

    def __getattr__(self, name: str) -> Any:
        if self._world.store_is_out and name not in ("era", "identity", "subscribe"):
            return self._fail
        return getattr(self._store, name)

    async def _fail(self, *_: object, **__: object) -> None:
        raise Unavailable("the disk is full")

    def _maybe_kill(self) -> None:
        if self._world.rng.random() < FAULT_RATE * self._world.trouble:
            raise GatewayKilled

    async def record(self, writes: list[ShardWrite], cursors: Mapping[str, Cursor]) -> object:
        if self._world.store_is_out:
            raise Unavailable("the disk is full")
        self._maybe_kill()
        if writes and self._world.rng.random() < FAULT_RATE * self._world.trouble:
            await self._interfere(self._world.rng.choice(writes))
        took = await self._store.record(writes, cursors)
        self._world.check_writes([write for write, done in zip(writes, took, strict=True) if done])
        for run in {write.shard.run for write, done in zip(writes, took, strict=True) if done}:
            # What was recorded is recorded, also where the store under test fails at this read.
            with contextlib.suppress(Unavailable):
                self._world.check_stages(run, await self._store.shards(run))
        if all(took):
            self._world.check_cursors(cursors)
        for write, done in zip(writes, took, strict=True):
            if not done:
                self._world.note_conflict(write.shard.key)
        self._maybe_kill()
        return took

    async def _interfere(self, write: ShardWrite) -> None:
        """Writes a new revision of the row, as another gateway would, which causes a conflict."""
        for shard in await self._store.shards(write.shard.run):
            if shard.index == write.shard.index and shard.rev == write.shard.rev - 1:
                other = ShardWrite(shard=shard.with_rev(write.shard.rev))
                await self._store.record([other], {})
                self._world.check_writes([other])


class ChangingPolicy:
    """A fake policy engine that permits the regions that `regions` returns at that moment."""

    revision = "simulated"

    def __init__(self, regions: Callable[[], tuple[str, ...]]) -> None:
        self._regions = regions
        self.asked: list[Question] = []

    async def __aenter__(self) -> "ChangingPolicy":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def check(self) -> None: ...

    async def decide(self, question: Question) -> Decision:
        self.asked.append(question)
        return Decision(
            id=f"d{question.at}-{len(self.asked)}",
            at=question.at,
            action=question.action,
            allow=True,
            revision="simulated",
            engine="none",
            obligations=Obligations(regions=self._regions()),
        )
