"""A gateway, its store, three regions and everything that may go wrong between them, from one seed.

The controller, its stages and the SQLite store are the real ones; clusters and roads are modelled in virtual time. After every pass
the invariants of the contract are checked against the store's rows and against what really ran.
"""

import random
from collections.abc import Mapping

from msgspec import json as msgjson
from msgspec import structs

from clusters.spec import AttemptId, TaskPhase
from gateway.controller import Controller
from gateway.core.instant import Instant
from gateway.core.phase import Phase, Shard
from gateway.core.principal import Action, Decision, Obligations, Question
from gateway.core.run import AuditEntry, Run, RunPhase
from gateway.core.workflow import Workflow
from gateway.settings import Failover, Health, Placing
from gateway.store.interface import Admission, Cursor, ShardWrite, Store
from observability.metrics import Metrics
from tests.simulation.cluster import ModelCluster, Start
from tests.simulation.network import Road, SimulatedLink, Timeline

REGIONS = ("beijing", "shanghai", "shenzhen")
TICK_SECONDS = 0.1
WALL = 1_800_000_000.0


class GatewayKilled(Exception):
    """The process is gone at this very point."""


class PermissivePolicy:
    """Any region, always."""

    revision = "simulated"

    async def __aenter__(self) -> "PermissivePolicy":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def decide(self, question: Question) -> Decision:
        obligations = Obligations(regions=REGIONS)
        return Decision(
            id=f"d{question.at}",
            at=question.at,
            action=question.action,
            allow=True,
            revision="simulated",
            engine="none",
            obligations=obligations,
        )


class KillableStore:
    """The real store; `record` may kill the gateway just before or just after its commit."""

    def __init__(self, store: Store, world: "World") -> None:
        self._store, self._world = store, world

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def record(self, writes: list[ShardWrite], cursors: Mapping[str, Cursor]) -> object:
        self._world.maybe_kill()
        took = await self._store.record(writes, cursors)
        self._world.check_writes([write for write, done in zip(writes, took, strict=True) if done])
        self._world.maybe_kill()
        return took


class World:
    """`trouble` in 0..1 scales how often things go wrong; `quiet()` ends all trouble, for liveness."""

    def __init__(self, store: Store, seed: int, *, trouble: float) -> None:
        self.rng = random.Random(seed)
        self.store, self.trouble = store, trouble
        self.timeline = Timeline()
        self.starts: list[Start] = []
        self.clusters = {name: ModelCluster(name, self.rng, begun=self._begun, now=0.0) for name in REGIONS}
        self.roads = {name: Road(delay_seconds=self.rng.uniform(0.005, 0.2), duplicates=0.2 * trouble) for name in REGIONS}
        self.controller: Controller | None = None
        self.links: dict[str, SimulatedLink] = {}
        self.healed_at = dict.fromkeys(REGIONS, 0.0)
        self.given_up: set[str] = set()
        self.settings: tuple[str, ...] = REGIONS
        """The regions that the gateway is told of."""
        self.runs: dict[str, Workflow] = {}
        self.shards: dict[tuple[str, int], Shard] = {}
        self.results: dict[tuple[str, int, str], tuple[int, str]] = {}
        self.superseded: set[tuple[str, int, str, int]] = set()

    @property
    def now(self) -> Instant:
        return Instant(self.timeline.now, WALL + self.timeline.now)

    # The gateway

    async def start_gateway(self) -> None:
        self.links = {
            name: SimulatedLink(
                name=name,
                cluster=self.clusters[name],
                road=self.roads[name],
                timeline=self.timeline,
                rng=self.rng,
                era=lambda: self.store.era,
            )
            for name in self.settings
        }
        self.controller = Controller(
            store=KillableStore(self.store, self),  # type: ignore[arg-type]  # the rest is passed through
            policy=PermissivePolicy(),
            links=list(self.links.values()),
            weights={},
            health=Health(),
            failover=Failover(),
            placing=Placing(),
            metrics=Metrics(),
            rng=self.rng,
        )
        await self.controller.start(self.now)

    def kill_gateway(self) -> None:
        self.controller = None
        for link in self.links.values():
            link.alive = False

    def maybe_kill(self) -> None:
        if self.rng.random() < 0.004 * self.trouble:
            raise GatewayKilled

    async def submit(self, workflow: Workflow) -> None:
        run_id = f"run-{len(self.runs):03d}"
        self.runs[run_id] = workflow
        decision = self._decision(f"d-{run_id}")
        deadline = workflow.spec.deadline_seconds
        run = Run(
            id=run_id,
            tenant="t",
            name=workflow.metadata.name,
            subject="s",
            issuer="i",
            priority=workflow.spec.priority,
            shard_count=workflow.shard_count,
            workflow=msgjson.encode(workflow),
            created_at=self.now.wall,
            deadline_at=None if deadline is None else self.now.wall + deadline,
            decision_id=decision.id,
            decided_at=self.now.wall,
            permitted=REGIONS,
        )
        shards = tuple(Shard(run=run_id, index=index) for index in range(workflow.shard_count))
        await self.store.admit(
            Admission(run=run, shards=shards, decision=decision, audit=(AuditEntry(run=run_id, kind="Accepted", at=self.now.wall),))
        )
        self.shards |= {shard.key: shard for shard in shards}

    def _decision(self, identity: str) -> Decision:
        regions = Obligations(regions=REGIONS)
        return Decision(
            id=identity, at=self.now.wall, action=Action.RUNS_SUBMIT, allow=True, revision="s", engine="none", obligations=regions
        )

    async def operate(self) -> None:
        """Somebody lets a lost journal go, cancels a run, or opens one again that did not succeed."""
        for region in REGIONS:
            bound = await self.store.admit_incarnation(region, self.clusters[region].journal.incarnation)
            if bound != self.clusters[region].journal.incarnation and (self.rng.random() < 0.01 or not self.trouble):
                await self.store.release_incarnation(region, audit=AuditEntry(run="", kind="JournalReleased", at=self.now.wall))
        if not self.runs or not self.trouble or self.rng.random() > 0.01:
            return
        run = await self.store.run(self.rng.choice(sorted(self.runs)))
        if run is None:
            return
        note = AuditEntry(run=run.id, kind="Asked", at=self.now.wall)
        if not run.phase.terminal:
            await self.store.cancel(run.id, at=self.now.wall, audit=note)
        elif run.phase is not RunPhase.SUCCEEDED:
            again = structs.replace(run, deadline_at=None, decided_at=self.now.wall)
            await self.store.retry(run.id, run=again, decision=self._decision(f"d-{self.now.wall}"), audit=note)
            for shard in await self.store.shards(run.id):
                self.shards[shard.key] = shard

    # Time

    async def tick(self) -> None:
        self.timeline.advance(self.timeline.now + TICK_SECONDS)
        for cluster in self.clusters.values():
            cluster.advance(self.timeline.now)
        for link in self.links.values():
            if link.alive:
                link.pump()
        await self._disturb()
        if self.controller is not None:
            try:
                await self.controller.reconcile_once(self.now)
            except GatewayKilled:
                self.kill_gateway()
        self.check_reality()

    async def _disturb(self) -> None:
        """At each tick, seldom: something breaks, something heals."""
        if self.controller is None:
            if self.rng.random() < 0.1 or not self.trouble:
                await self.start_gateway()
        elif self.rng.random() < 0.003 * self.trouble:
            self.kill_gateway()
        for name in REGIONS:
            self._disturb_region(self.clusters[name], self.roads[name])
        often = 0.01 if not any(r.cut_there or r.cut_back for r in self.roads.values()) else 0.001
        if self.rng.random() < often * self.trouble:
            self._cut(self.rng.choice(REGIONS))

    def _disturb_region(self, cluster: ModelCluster, road: Road) -> None:
        if not cluster.up:
            if self.rng.random() < 0.02 or not self.trouble:
                if self.rng.random() < 0.2 * self.trouble:
                    cluster.lose_journal()
                cluster.restart(self.timeline.now)
        elif self.rng.random() < 0.001 * self.trouble:
            cluster.crash(self.timeline.now)
        if (road.cut_there or road.cut_back) and (self.timeline.now >= self.healed_at[cluster.region] or not self.trouble):
            road.cut_there = road.cut_back = False

    def _cut(self, name: str) -> None:
        """Usually one region at a time, so that the blackout guard does not hide what follows; both ways, or one of them."""
        road = self.roads[name]
        road.cut_there, road.cut_back = self.rng.choice([(True, True), (True, False), (False, True)])
        self.healed_at[name] = self.timeline.now + self.rng.uniform(2, 60)

    # Invariants

    def _begun(self, start: Start) -> None:
        self.starts.append(start)
        key = (start.attempt.run, start.attempt.shard)
        if start.exclusive:
            others = [s for s in self.starts if s.ended is None and s is not start and (s.attempt.run, s.attempt.shard) == key]
            assert all(s.attempt == start.attempt for s in others), f"I4: {start} beside {others}"
        shard, held = self.shards[key], self.results.get((*key, start.task))
        current = shard.region == start.region and shard.attempt == start.attempt
        again = any((*key, start.task, epoch) in self.superseded for epoch in range(held[0] + 1, shard.epoch + 1)) if held else False
        if held is not None and current and held[0] < shard.epoch and not again:
            task = next(t for t in self.runs[start.attempt.run].spec.tasks if t.name == start.task)
            made_here = held[1] == self.clusters[start.region].journal.incarnation
            assert task.result_scope == "region" and not made_here, f"I7: {start} again, held from {held}"

    def check_writes(self, writes: list[ShardWrite]) -> None:
        """What was just committed, against what was committed before."""
        for write in writes:
            before, after = self.shards[write.shard.key], write.shard
            assert after.rev == before.rev + 1
            assert after.epoch >= before.epoch, "I5"
            assert before.phase is not Phase.SUCCEEDED or after.phase is Phase.SUCCEEDED, "I2"
            assert sum(entry.kind == "Completed" for entry in write.audit) <= (before.phase is not Phase.SUCCEEDED), "I1"
            self.shards[after.key] = after
            for row in write.tasks:
                if row.phase is TaskPhase.SUCCEEDED:
                    self.results[(row.run, row.shard, row.task)] = (row.epoch, row.incarnation)
                elif row.phase is TaskPhase.RUNNING:  # being made again: what an older journal still has does not count any more
                    self.superseded.add((row.run, row.shard, row.task, row.epoch))
            self._check_lineage(after)

    def _check_lineage(self, shard: Shard) -> None:
        for task in self.runs[shard.run].spec.tasks:
            if (*shard.key, task.name) in self.results:
                assert all((*shard.key, need) in self.results for need in task.needs), "I8"

    def check_reality(self) -> None:
        """I3 and I9: whatever runs anywhere is its shard's own attempt or a listed orphan; of what is given up nobody keeps account."""
        for name in set(REGIONS) - self.given_up:
            for identity, attempt in self.clusters[name].journal.attempts.items():
                if attempt.awake and not attempt.ended:
                    assert self._accounted(name, identity), f"I3: {identity} runs in {name}, {self.shards[(identity.run, identity.shard)]}"

    def _accounted(self, region: str, identity: AttemptId) -> bool:
        shard = self.shards[(identity.run, identity.shard)]
        own = shard.phase.placed and shard.region == region and shard.epoch == identity.epoch
        return own or any(orphan.region == region and orphan.epoch == identity.epoch for orphan in shard.orphans)

    def done(self) -> bool:
        return all(shard.phase.terminal and not shard.orphans for shard in self.shards.values())
