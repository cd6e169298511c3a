"""The conformance suite of release kinds: what a rollback of each promises, whatever is released.

Rows 39 and 40 of the reliability promises are here, row 38 is in `release_alerts.py`: one rollback for each
release or none, never past the last good version, nothing without proof, or while a region is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import msgspec
import pytest
from msgspec import structs

from gateway.core.errors import Unavailable
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback.interface import Counted, Queries
from gateway.rollback.prometheus import Prometheus, other_causes
from gateway.store.acts import ActQuery
from tests.conformance.release_alerts import AFTER, BEFORE, ReleaseAlertsConformance, full
from tests.conformance.release_world import ReleaseWorld, State
from tests.gateway.rollback.one_query import vector

IN_FORCE_SINCE: Final = 600.0


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


def answered(body: bytes, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=pieces(body))


def numbers(at: float, value: str) -> httpx.Response:
    """Returns an answer with the same value for each number that is asked for."""
    names = (*Queries.__struct_fields__, *other_causes(300))
    return answered(msgspec.json.encode(vector(dict.fromkeys(names, value), at)))


async def never(_: float) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


def refused(_: float) -> httpx.Response:
    raise httpx.ConnectError("refused")


BROKEN: Final[dict[str, Callable[[float], Any]]] = {
    "empty": lambda now: answered(msgspec.json.encode(vector({}, now))),
    "NaN": lambda now: numbers(now, "NaN"),
    "infinite": lambda now: numbers(now, "+Inf"),
    "none of these": lambda now: answered(msgspec.json.encode(vector({"odd": "1000"}, now))),
    "down": refused,
    "slow": never,
    "failing": lambda _: answered(b"", 503),
    "another clock": lambda now: numbers(now - 31, "1000"),
    "no JSON": lambda _: answered(b"<html>"),
}
"""What a Prometheus may answer that proves nothing."""


class ReleaseKindConformance(ReleaseAlertsConformance):
    """The conformance tests of a kind of release.

    A subclass provides the fixture `world`, in which version 1 was in force for long, and version 2 has been
    for ten minutes.
    """

    async def test_a_bad_release_is_taken_back_and_verified(self, world: ReleaseWorld) -> None:
        """Each phase is kept with the numbers that it saw, and the act is in the audit."""
        await world.alert()
        await world.passes()
        assert await world.states() == AFTER
        await world.passes(299)
        await world.passes(1)
        await world.passes(1)
        (rollback,) = await world.rollbacks()
        assert [step.phase for step in rollback.steps] == ["Intended", "Done", "Helped"]
        assert (rollback.release, rollback.returns_to) == (world.name(2), world.name(1))
        assert rollback.steps[0].seen[f"release_{world.counted.bad}"] == 400.0
        assert world.phases == ["Intended", "Done", "Helped"]
        assert [found.release.endswith("vector(0)") for found in world.asked] == [False, True]
        (act, *_) = (await world.store.acts(ActQuery(tenants=None))).entries
        assert (act.actor, act.at) == ("rollback", rollback.began_at)

    async def test_a_canary_is_taken_back_and_what_is_in_force_stays(self, world: ReleaseWorld) -> None:
        await world.canary(3)
        await world.alert(version=3)
        await world.passes(200)
        assert await world.states() == BEFORE | {3: State.TAKEN_BACK}

    async def test_the_last_known_good_release_stays_whatever_comes(self, world: ReleaseWorld) -> None:
        """That it still goes badly is not its fault: a person is paged."""
        await world.alert(1)
        await world.passes()
        await world.alert(2, version=1)
        await world.passes(2_000)
        assert await world.states() == AFTER
        assert world.phases == ["Intended", "Done", "Helped", "Wanted"]

    async def test_a_release_is_never_taken_back_twice(self, world: ReleaseWorld) -> None:
        await world.alert(1)
        await world.passes()
        for number in range(2, 9):
            await world.alert(number)
            await world.passes(2_000)
        assert await world.states() == AFTER
        assert world.phases.count("Intended") == 1

    @pytest.mark.parametrize("answer", BROKEN)
    async def test_without_evidence_nothing_is_done_and_a_person_is_paged(
        self, world: ReleaseWorld, answer: str
    ) -> None:
        """Row 39."""
        settings = structs.replace(
            world.settings, prometheus_url="http://prometheus:9090", prometheus_seconds=0.05
        )
        transport = httpx.MockTransport(lambda _: BROKEN[answer](world.now))
        async with Prometheus(settings, clock=lambda: world.now, transport=transport) as world.prometheus:
            await world.alert()
            for _ in range(3):
                await world.passes(5)
        assert (await world.states(), world.phases) == (BEFORE, ["Frozen"])

    @pytest.mark.parametrize("number", ["share", "total"])
    async def test_numbers_that_cannot_be_are_no_evidence(self, world: ReleaseWorld, number: str) -> None:
        world.found = world.measured(**{number: float("nan")})
        await world.alert()
        await world.passes()
        assert (await world.states(), world.phases) == (BEFORE, ["Frozen"])

    async def test_while_a_region_is_lost_nothing_is_done(self, world: ReleaseWorld) -> None:
        """Row 40: its loss may be the cause. Prometheus is not even asked."""
        world.region_lost = True
        await world.alert()
        await world.passes()
        assert (await world.states(), world.asked) == (BEFORE, [])
        world.region_lost = False
        await world.passes(5)
        assert await world.states() == AFTER

    @pytest.mark.parametrize("cause", ["failovers", "regions_back"])
    async def test_what_a_lost_region_may_explain_takes_nothing_back(
        self, world: ReleaseWorld, cause: str
    ) -> None:
        """Row 40, where the region answers again before the next look."""
        world.found = world.measured(**{cause: 1.0})
        await world.alert()
        await world.passes()
        assert (await world.states(), world.phases) == (BEFORE, [])

    async def test_a_young_release_is_judged_once_it_is_old_enough(self, world: ReleaseWorld) -> None:
        await world.release(3)
        await world.alert(version=3)
        await world.passes(119)
        assert (await world.states())[3] is State.IN_FORCE
        await world.passes(1)
        assert await world.states() == {1: State.BEFORE, 2: State.IN_FORCE, 3: State.TAKEN_BACK}

    @pytest.mark.parametrize(("mode", "phases"), [("off", []), ("dry-run", ["DryRun"])])
    async def test_modes_that_take_nothing_back(
        self, world: ReleaseWorld, mode: str, phases: list[str]
    ) -> None:
        world.set_mode(mode)
        await world.alert()
        await world.passes()
        await world.passes(5)
        assert (await world.states(), world.phases) == (BEFORE, phases)

    async def test_what_changes_while_prometheus_answers_is_looked_at_again(
        self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The evidence is about a release that is in force no more."""
        ask = world.evidence

        async def meanwhile(queries: Queries, counted: Counted, **window: int) -> Evidence | NoEvidence:
            await world.release(3)
            return await ask(queries, counted, **window)

        await world.alert()
        monkeypatch.setattr(world, "evidence", meanwhile)
        await world.passes()
        assert await world.states() == {1: State.BEFORE, 2: State.BEFORE, 3: State.IN_FORCE}
        assert world.phases == []

    async def crash_between(self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """Crashes the gateway after a rollback is stored and before it is carried out."""
        await world.alert()
        with monkeypatch.context() as patch:
            patch.setattr(type(world.releases), "take_back", full)
            with pytest.raises(Unavailable):
                await world.passes()
        assert (await world.states(), world.phases) == (BEFORE, ["Intended"])

    async def test_what_was_begun_is_ended_after_a_restart(
        self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.crash_between(world, monkeypatch)
        await world.passes(5)
        assert (await world.states(), world.phases) == (AFTER, ["Intended", "Done"])

    async def test_what_was_done_before_a_crash_is_found_done(
        self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.crash_between(world, monkeypatch)
        await world.take_back(2)
        await world.passes(5)
        assert (await world.states(), world.phases) == (AFTER, ["Intended", "Done"])

    @pytest.mark.parametrize("how", ["late", "replaced", "off"])
    async def test_what_was_begun_is_not_done_when_it_is_no_longer_right(
        self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        await self.crash_between(world, monkeypatch)
        if how == "replaced":
            await world.release(3)
        if how == "off":
            world.set_mode("dry-run")
        before = await world.states()
        await world.passes(301 if how == "late" else 5)
        assert (await world.states(), world.phases[-1]) == (before, "Failed")

    async def test_a_rollback_that_did_not_help_pages_a_person(self, world: ReleaseWorld) -> None:
        await world.alert()
        await world.passes()
        world.found = world.measured(baseline=0.4)
        await world.passes(300)
        assert world.phases == ["Intended", "Done", "Unhelpful"]

    async def test_rollbacks_can_be_stored(self, world: ReleaseWorld) -> None:
        """Names, numbers and reasons are JSON."""
        await world.alert()
        await world.passes()
        (rollback,) = await world.rollbacks()
        assert msgspec.json.decode(msgspec.json.encode(rollback), type=type(rollback)) == rollback
