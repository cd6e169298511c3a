"""The regions and the shards under way that the controller goes through in each pass."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from clusters.protocol import AttemptId
from gateway.core.instant import NEVER
from gateway.core.shard_states import Phase, key_of
from gateway.reconciler.working_set.region import Region
from gateway.reconciler.working_set.tracked_shard import LoadedRun, TrackedShard

LARGE_RUNS = 8
"""The maximum number of runs whose large documents are cached."""


@dataclass(kw_only=True, slots=True)
class WorkingSet:
    """The reconciler's in-memory copy of all regions by name, and of shards under way by (run, index)."""

    regions: dict[str, Region]
    shards: dict[tuple[str, int], TrackedShard] = field(default_factory=dict)
    routing: int = 0
    """The number of the routing revision in force, as of the last scan of the store; 0: none."""
    restored_at: float = NEVER
    """The time at which a region last reported that the store is an older copy: unknown attempts may run."""
    era_began_at: float = NEVER
    """The time at which this gateway began a new era, since the store was an older copy."""

    large_runs: dict[str, LoadedRun] = field(default_factory=dict)
    """A cache of recently used runs with large documents, as rendering these takes long."""

    @property
    def era_began(self) -> bool:
        """Returns whether this gateway has begun a new era (generation of the store) since its start."""
        return self.era_began_at > NEVER

    def keep_large(self, run: LoadedRun) -> None:
        """Caches the in-memory form of a run with a large document; beyond a limit, drops the oldest."""
        self.large_runs.pop(run.stored.id, None)
        while len(self.large_runs) >= LARGE_RUNS:
            del self.large_runs[next(iter(self.large_runs))]
        self.large_runs[run.stored.id] = run

    def add(self, tracked: TrackedShard) -> None:
        """Puts a shard into memory (the working set), replacing one with the same key."""
        self.shards[tracked.shard.key] = tracked

    def find_current(self, region: str, attempt: AttemptId) -> TrackedShard | None:
        """Returns the shard that has this attempt as its current one in that region; or None."""
        tracked = self.shards.get(key_of(attempt))
        if tracked is None or tracked.shard.region != region or tracked.shard.epoch != attempt.epoch:
            return None
        return tracked if tracked.shard.phase.placed else None

    def find_orphan(self, region: str, attempt: AttemptId) -> TrackedShard | None:
        """Returns the shard that has this attempt among its orphans in that region; or None."""
        tracked = self.shards.get(key_of(attempt))
        if tracked is None or tracked.shard.find_orphan(region, attempt.epoch) is None:
            return None
        return tracked

    def placed_in(self, region: str, *phases: Phase) -> Iterator[TrackedShard]:
        """Returns the shards whose current attempt is in that region and whose phase is one of `phases`."""
        return (t for t in self.shards.values() if t.shard.region == region and t.shard.phase in phases)

    def count_placed(self, run_id: str) -> Counter[str]:
        """Returns the number of the run's placed shards by region."""
        return Counter(
            tracked.shard.region
            for tracked in self.shards.values()
            if tracked.shard.run == run_id and tracked.shard.phase.placed and tracked.shard.region is not None
        )

    def count_inflight(self) -> Counter[str]:
        """Returns the number of attempts that run or may run, by region: current ones and orphans."""
        counts: Counter[str] = Counter()
        for tracked in self.shards.values():
            if tracked.shard.phase.placed and tracked.shard.region is not None:
                counts[tracked.shard.region] += 1
            for orphan in tracked.shard.orphans:  # not `update`: it costs most where there is none
                counts[orphan.region] += 1
        return counts
