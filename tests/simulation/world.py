"""The simulated world: a gateway, its store, three regions and random faults, from one seed.

The controller and the SQLite store are the real ones; clusters and the network are models in virtual time.
After every pass the invariants of the contract are checked against the store's rows and against what really
ran.
"""

import random

from msgspec import json as msgjson
from msgspec import structs

from gateway.core.decision import Action, Decision, Obligations
from gateway.core.history import HistoryKind
from gateway.core.instant import Instant
from gateway.core.run import Run, RunPhase
from gateway.documents.workflow import Workflow
from gateway.reconciler.controller import Controller
from gateway.regions.region_condition import RegionCondition
from gateway.settings import FailoverSettings, HealthSettings, PlacingSettings
from gateway.store.interface import Admission, Store
from observability.metrics import Metrics
from tests.gateway.core.history_entries import history_entry
from tests.simulation.cluster import ModelCluster
from tests.simulation.invariants import Invariants, span_of_run
from tests.simulation.network import NetworkPath, SimulatedLink, Timeline
from tests.simulation.random_routing import change_routing
from tests.simulation.stages import shards_of, with_stages
from tests.simulation.store_and_policy import ChangingPolicy, GatewayKilled, UnreliableStore

REGIONS = ("beijing", "shanghai", "shenzhen")
TICK_SECONDS = 0.1
WALL = 1_800_000_000.0


class World(Invariants):
    """The whole simulated system: a gateway, its store, three regions, and the network between them.

    `trouble` in 0..1 scales how often faults occur; at 0 all that is broken heals.
    """

    def __init__(
        self, store: Store, seed: int, *, trouble: float, failover: FailoverSettings | None = None
    ) -> None:
        super().__init__(failover or FailoverSettings(), REGIONS)
        self.rng = random.Random(seed)
        self.store, self.trouble = store, trouble
        self.timeline = Timeline()
        self.clusters = {name: self._cluster(name) for name in REGIONS}
        self.paths = {
            name: NetworkPath(delay_seconds=self._delay(), duplicates=0.2 * trouble) for name in REGIONS
        }
        self.controller: Controller | None = None
        self.links: dict[str, SimulatedLink] = {}
        self.healed_at = dict.fromkeys(REGIONS, 0.0)
        self.bound: dict[str, str] = {}
        """The journal to which each region's name was bound when an operator last looked."""
        self.store_is_out = False
        self.store_back_at = 0.0
        self.configured: tuple[str, ...] = REGIONS
        """The regions in the gateway's settings."""
        self.policy = ChangingPolicy(lambda: self.permitted[-1][1])

    def _cluster(self, name: str, *, after: int = 0) -> ModelCluster:
        """Creates a cluster, by chance with few slots and with processes that are slow to end."""
        slots = 4 if self.rng.random() < 0.3 * self.trouble else 100
        linger = 8.0 * self.trouble
        cluster = ModelCluster(
            name,
            self.rng,
            on_start=self.check_start,
            on_batch=self.check_batch,
            now=self.timeline.now,
            after=after,
        )
        cluster.slots, cluster.linger_seconds = slots, linger
        return cluster

    def _delay(self) -> float:
        return self.rng.uniform(0.005, 0.2)

    @property
    def now(self) -> Instant:
        return Instant(self.timeline.now, WALL + self.timeline.now)

    # The gateway

    async def start_gateway(self, *, store_restored: bool = False) -> None:
        self.links = {
            name: SimulatedLink(
                name=name,
                cluster=self.clusters[name],
                path=self.paths[name],
                timeline=self.timeline,
                rng=self.rng,
                era=lambda: self.store.era,
            )
            for name in self.configured
        }
        self.controller = Controller(
            store=UnreliableStore(self.store, self),  # type: ignore[arg-type]  # the rest is passed through
            policy=self.policy,
            links=list(self.links.values()),
            weights={},
            engines=self.engines,
            health=HealthSettings(),
            failover=self.failover,
            placing=PlacingSettings(),
            metrics=Metrics(),
            rng=self.rng,
            store_restored=store_restored,
        )
        await self.controller.start(self.now)

    def kill_gateway(self) -> None:
        self.controller = None
        for link in self.links.values():
            link.alive = False

    async def submit(self, workflow: Workflow) -> None:
        run_id = f"run-{len(self.runs):03d}"
        self.runs[run_id] = workflow
        decision = self._decision(f"d-{run_id}")
        deadline = workflow.spec.deadline_seconds
        run = Run(
            id=run_id,
            tenant=workflow.metadata.tenant or "t",
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
            permitted=decision.obligations.regions,
            span=span_of_run(run_id),
        )
        run = structs.replace(run, **with_stages(run, workflow))
        shards = shards_of(run_id, workflow)
        await self.store.admit(
            Admission(
                run=run,
                shards=shards,
                decision=decision,
                history=(history_entry(HistoryKind.ACCEPTED, run=run_id, at=self.now.wall),),
            )
        )
        self.shards |= {shard.key: shard for shard in shards}
        if run.deadline_at is not None:
            self.deadlines[run_id] = run.deadline_at

    def _decision(self, identity: str) -> Decision:
        regions = Obligations(regions=self.permitted[-1][1])
        return Decision(
            id=identity,
            at=self.now.wall,
            action=Action.RUNS_SUBMIT,
            allow=True,
            revision="s",
            engine="none",
            obligations=regions,
        )

    async def operate(self) -> None:
        """Acts as operators do: releases a lost journal, routes, cancels a run, or retries a failed one."""
        for region in REGIONS:
            await self._release_lost_journal(region)
        await change_routing(self.store, self.rng, trouble=self.trouble, at=self.now.wall)
        if not self.runs or not self.trouble or self.rng.random() > 0.01:
            return
        run = await self.store.run(self.rng.choice(sorted(self.runs)))
        if run is None:
            return
        if not run.phase.terminal:
            wish = history_entry(HistoryKind.CANCEL_REQUESTED, run=run.id, at=self.now.wall)
            await self.store.cancel(run.id, at=self.now.wall, entry=wish)
        elif run.phase is not RunPhase.SUCCEEDED:
            self.deadlines.pop(run.id, None)
            again = structs.replace(run, deadline_at=None, decided_at=self.now.wall)
            reopened = history_entry(HistoryKind.REOPENED, run=run.id, at=self.now.wall)
            await self.store.retry(
                run.id, run=again, decision=self._decision(f"d-{self.now.wall}"), entry=reopened
            )
            await self.note_retry(self.store, run.id)

    async def _release_lost_journal(self, region: str) -> None:
        """Releases, sooner or later, the journal that a region's name is bound to, if the region lost it."""
        incarnation = self.clusters[region].journal.incarnation
        # Nobody else releases one: the store need not be asked at each tick.
        if self.bound.get(region) == incarnation:
            return
        bound = self.bound[region] = await self.store.bind_incarnation(region, incarnation)
        if bound != incarnation and (self.rng.random() < 0.01 or not self.trouble):
            release = history_entry(HistoryKind.JOURNAL_RELEASED, at=self.now.wall)
            await self.store.release_incarnation(region, entry=release)
            del self.bound[region]

    # Time

    async def tick(self) -> None:
        self.timeline.advance(self.timeline.now + TICK_SECONDS)
        for cluster in (*self.clusters.values(), *self.replaced):
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
        if self.controller is None or self.controller.outage:
            self.steady_since = self.timeline.now
        else:
            regions = self.controller._ws.regions.values()
            lost = [one.name for one in regions if one.health.condition is RegionCondition.UNREACHABLE]
            beats = {one.name: one.beat_at for one in regions if one.beat_at > one.reopened_at}
            self.check_time(frozenset(lost), beats)
        self.check_reality()

    async def _disturb(self) -> None:
        """Breaks or heals something at random, with a small probability at each tick."""
        self._disturb_store()
        if self.controller is None:
            if not self.store_is_out and (self.rng.random() < 0.1 or not self.trouble):
                await self.start_gateway()
        elif self.rng.random() < 0.003 * self.trouble:
            self.kill_gateway()
        if self.rng.random() < 0.005 * self.trouble or (
            not self.trouble and self.permitted[-1][1] != REGIONS
        ):
            some = tuple(name for name in REGIONS if self.rng.random() < 0.7 or not self.trouble)
            self.permitted.append((self.timeline.now, some or REGIONS))
        for name in REGIONS:
            self._disturb_region(self.clusters[name], self.paths[name])
        often = 0.01 if not any(r.requests_cut or r.answers_cut for r in self.paths.values()) else 0.001
        if self.rng.random() < often * self.trouble:
            self._cut(self.rng.choice(REGIONS))
        if self.rng.random() < 0.001 * self.trouble:
            for name in self.rng.sample(REGIONS, k=self.rng.choice([2, 3])):
                self._cut(name)

    def _disturb_store(self) -> None:
        if self.store_is_out:
            self.store_is_out = bool(self.trouble) and self.timeline.now < self.store_back_at
        elif self.rng.random() < 0.002 * self.trouble:
            self.store_is_out, self.store_back_at = True, self.timeline.now + self.rng.uniform(0.1, 20)

    def _disturb_region(self, cluster: ModelCluster, path: NetworkPath) -> None:
        if not cluster.up:
            if self.rng.random() < 0.02 or not self.trouble:
                if self.rng.random() < 0.2 * self.trouble:
                    cluster.lose_journal()
                cluster.restart(self.timeline.now)
        elif self.rng.random() < 0.001 * self.trouble:
            cluster.crash(self.timeline.now)
        elif self.rng.random() < 0.0003 * self.trouble:
            self.replace_cluster(cluster.region)
        if (path.requests_cut or path.answers_cut) and (
            self.timeline.now >= self.healed_at[cluster.region] or not self.trouble
        ):
            path.requests_cut = path.answers_cut = False
        if self.rng.random() < 0.004 * self.trouble or (
            not self.trouble and (path.loss or path.delay_seconds > 0.2)
        ):
            slow = self.rng.random() < 0.3 * self.trouble
            path.delay_seconds = self.rng.uniform(0.2, 0.6) if slow else self._delay()
            path.loss = self.rng.choice([0.0, 0.0, 0.3]) if self.trouble else 0.0

    def replace_cluster(self, name: str) -> None:
        """Replaces a region's cluster by one with a new journal.

        The old one goes on where no gateway reaches it.
        """
        old = self.clusters[name]
        self.replaced.append(old)
        self.clusters[name] = self._cluster(name, after=old.boots + old.journals)
        if name in self.links:
            self.links[name].cluster = self.clusters[name]

    def _cut(self, name: str) -> None:
        """Cuts the network to a region, in both directions or in one.

        Mostly one region at a time, so that the blackout guard does not hide the consequences.
        """
        path = self.paths[name]
        path.requests_cut, path.answers_cut = self.rng.choice([(True, True), (True, False), (False, True)])
        self.healed_at[name] = self.timeline.now + self.rng.uniform(2, 60)

    def done(self) -> bool:
        return all(shard.phase.terminal and not shard.orphans for shard in self.shards.values())
