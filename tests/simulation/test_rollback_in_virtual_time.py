"""Tests rollbacks with the owner's own times, in virtual time: nothing is shortened.

Real: the shipped rules on Prometheus' own engine, the webhook's parsing, the store, the controller, the kinds
of release. Modelled: callers and tasks as counts, scrapes, the evaluation of rules and their `for`, and an
Alertmanager that sends at once what fires, as the shipped route for pages does.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from gateway.core.decision import Action, Decision
from gateway.core.rollback import Rollback
from gateway.core.workflow_release import ReleaseStep
from gateway.policy.rollout.acts import Act
from gateway.rollback.prometheus import Prometheus
from gateway.rollback.webhook import read_alerts
from gateway.settings import RollbackSettings
from observability.metrics import Metrics
from tests.conformance.release_world import START, ReleaseWorld, State
from tests.gateway.policy.rollout.releases import archive, opened
from tests.gateway.rollback.policy_bundles.test_releases import BundleWorld
from tests.gateway.rollback.routing.routing_world import RoutingWorld
from tests.gateway.rollback.workflows.workflow_world import WorkflowWorld
from tests.simulation.virtual_prometheus import VirtualPrometheus, virtual_prometheus

PASS_SECONDS: Final = 5
BEFORE_SECONDS: Final = 120
LIMIT_SECONDS: Final = 1_800
PER_SECOND: Final = 20
OWNERS: Final = "WaypostSlowAndFailing"
"""The owner's rule: P99 over 800 ms for five minutes, and over 5 % errors."""


class Timed:
    """A world whose clock runs, with metrics that its load makes and a Prometheus that scrapes them."""

    def __init__(self, world: ReleaseWorld, prometheus: VirtualPrometheus, alert: str) -> None:
        self.world, self.prometheus, self.alert = world, prometheus, alert
        self.metrics = Metrics()
        self.bad_at: list[float] = []
        self.notified_at: list[float] = []

    async def run(self, load: Callable[["Timed"], None], seconds: int) -> None:
        """Lets time pass; ends when a rollback is verified or has paged."""
        for _ in range(seconds):
            self.world.now += 1
            load(self)
            if self.world.now % PASS_SECONDS == 0:
                await self._look()
            if self.world.phases and self.world.phases[-1] not in ("Intended", "Done"):
                return

    async def _look(self) -> None:
        await self.prometheus.scrape(self.metrics)
        if self.world.now % self.prometheus.evaluation_seconds == 0:
            firing = await self.prometheus.evaluate(self.alert)
            if firing:
                self.notified_at.append(self.world.now)
                body = msgspec.json.encode({"version": "4", "groupKey": "g", "alerts": firing})
                await self.world.store.take_alerts(read_alerts(body, now=self.world.now).alerts)
        await self.world.passes()


@asynccontextmanager
async def timed(world: ReleaseWorld, folder: Path, alert: str) -> AsyncIterator[Timed]:
    settings = RollbackSettings(prometheus_url="http://prometheus")
    async with (
        virtual_prometheus(folder, lambda: world.now) as server,
        Prometheus(settings, clock=lambda: world.now, transport=server) as prometheus,
    ):
        world.prometheus = prometheus
        yield Timed(world, server, alert)


def report(capsys: pytest.CaptureFixture[str], run: Timed, rollback: Rollback) -> float:
    """Prints the virtual seconds of each step since the first bad result; returns those until the last."""
    first = run.bad_at[0]
    line = [f"alert {run.notified_at[0] - first:.0f} s"]
    line += [f"{step.phase} {step.at - first:.0f} s" for step in rollback.steps]
    last = run.bad_at[-1] - first
    with capsys.disabled():
        print(f"\n{run.alert}, since the first bad result: {', '.join(line)}, last bad result {last:.0f} s")
    return last


async def test_the_owners_rule_takes_back_rules_that_make_calls_slow_and_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle that policy cannot evaluate in time: over within six minutes, as long as the rule is."""
    async with opened(tmp_path) as gateway:
        world = BundleWorld(gateway)
        for sequence in (1, 2, 3):
            await gateway.rollout.upload(archive(sequence), Act(by="ada", at=START, decision_id="d"))
        await world.release(2)
        revisions = {one.sequence: one.revision for one in gateway.rollout.current.releases}

        def calls(run: Timed) -> None:
            """A quarter are decided by the canary, half of these unanswered: a second, then a 503."""
            candidate = gateway.rollout.current.candidate
            for number in range(PER_SECOND):
                tried = candidate is not None and number % 4 == 0
                answered = not tried or number % 8 == 0
                values = {"id": "d", "at": 0.0, "engine": "opa", "fault": "" if answered else "none"}
                decision = Decision(
                    action=Action.RUNS_SUBMIT,
                    allow=answered,
                    revision=revisions[3 if tried else 2],
                    **values,  # type: ignore[arg-type]
                )
                run.metrics.count_decision(decision)
                outcome, seconds = ("Accepted", 0.005) if answered else ("Unavailable", 1.0)
                run.metrics.count_request("submit", outcome, seconds, "")
                if not answered:
                    run.bad_at.append(world.now)

        async with timed(world, tmp_path, OWNERS) as run:
            await run.run(calls, BEFORE_SECONDS)
            await world.canary(3)
            await run.run(calls, LIMIT_SECONDS)
        (rollback,) = await world.rollbacks()
        assert world.phases == ["Intended", "Done", "Helped"]
        assert (rollback.alert, (await world.states())[3]) == (OWNERS, State.TAKEN_BACK)
        assert report(capsys, run, rollback) <= 360


async def test_a_version_whose_shards_fail_is_taken_back_with_the_times_that_ship(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A canary for a tenth of the submissions: its shards take four times as long, and a third fail."""
    async with opened(tmp_path) as gateway:
        world = WorkflowWorld(gateway)
        await world.applied("a", "b", "c")
        await world.step(ReleaseStep.PROMOTE, 2)

        def shards(run: Timed) -> None:
            tried = world.now >= released_at and "Done" not in world.phases
            for number in range(PER_SECOND):
                bad = tried and number % 10 == 0
                failed = (world.now + number // 10) % (3 if bad else 200) == 0
                outcome = "failed" if failed else "succeeded"
                release, seconds = (world.name(3), 8.0) if bad else (world.name(2), 2.0)
                run.metrics.releases.observe(release, outcome, seconds, at=world.now)
                if bad:
                    run.bad_at.append(world.now)

        released_at = float("inf")
        async with timed(world, tmp_path, "WaypostReleaseFails") as run:
            await run.run(shards, BEFORE_SECONDS)
            released_at = world.now
            await world.canary(3)
            await run.run(shards, LIMIT_SECONDS)
        (rollback,) = await world.rollbacks()
        assert world.phases == ["Intended", "Done", "Helped"]
        assert (rollback.release, (await world.states())[3]) == (world.name(3), State.TAKEN_BACK)
        report(capsys, run, rollback)


async def test_a_routing_whose_shards_fail_is_taken_back_with_the_times_that_ship(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revision that sends all work to one region, which can do two thirds of it: a third fails."""
    async with opened(tmp_path) as gateway:
        world = RoutingWorld(gateway)
        await world.release(1)

        def shards(run: Timed) -> None:
            overloaded = world.now >= released_at and "Done" not in world.phases
            run.metrics.ends.begin(2)
            for number in range(PER_SECOND):
                failed = (world.now + number) % (3 if overloaded else 200) == 0
                run.metrics.ends.count(2 if overloaded else 1, "Failed" if failed else "Succeeded")
                if overloaded and failed:
                    run.bad_at.append(world.now)

        released_at = float("inf")
        async with timed(world, tmp_path, "WaypostRoutingFails") as run:
            await run.run(shards, 2 * BEFORE_SECONDS)
            released_at = world.now
            await world.release(2)
            await run.run(shards, LIMIT_SECONDS)
        (rollback,) = await world.rollbacks()
        assert world.phases == ["Intended", "Done", "Helped"]
        assert (rollback.release, (await world.states())[2]) == ("2", State.TAKEN_BACK)
        report(capsys, run, rollback)
