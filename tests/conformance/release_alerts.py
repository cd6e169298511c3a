"""The part of the conformance suite of release kinds about alerts: who sends them, how often, in which order.

Row 38 of the reliability promises: one rollback for each release or none.
"""

from itertools import pairwise
from typing import Final

import pytest
from msgspec import structs

from gateway.core.errors import Unavailable
from gateway.core.rollback import PAGES
from tests.conformance.release_world import BEARER, ReleaseWorld, State

BEFORE: Final = {1: State.BEFORE, 2: State.IN_FORCE, 3: State.WAITING}
AFTER: Final = {1: State.IN_FORCE, 2: State.TAKEN_BACK, 3: State.WAITING}


async def full(*_: object, **__: object) -> None:
    raise Unavailable("the disk is full")


class ReleaseAlertsConformance:
    """The part of `ReleaseKindConformance` about alerts."""

    async def test_a_webhook_fifty_times_is_one_rollback(self, world: ReleaseWorld) -> None:
        """Row 38: Alertmanager sends at least once, and again while it fires."""
        async with world.sender() as sender:
            for _ in range(50):
                answer = await sender.post("/v1/alerts", content=world.notification(), headers=BEARER)
                assert answer.status_code == 200
                await world.passes(1)
        assert await world.states() == AFTER
        assert [one.release for one in await world.rollbacks()] == [world.name(2)]

    async def test_flapping_is_one_rollback(self, world: ReleaseWorld) -> None:
        """Row 38: each time it fires it is another alert, about the same release."""
        for number in range(50):
            alert = await world.alert(number)
            await world.passes(20)
            await world.store.take_alerts([structs.replace(alert, resolved=True)])
            await world.passes(20)
        assert await world.states() == AFTER
        assert world.phases.count("Intended") == 1
        assert (await world.store.open_alerts(limit=99)).alerts == ()

    async def test_resolved_before_firing_is_no_rollback(self, world: ReleaseWorld) -> None:
        async with world.sender() as sender:
            for status in ("resolved", "firing"):
                body = world.notification(status=status)
                assert (await sender.post("/v1/alerts", content=body, headers=BEARER)).status_code == 200
        await world.passes()
        assert (await world.states(), world.asked, await world.rollbacks()) == (BEFORE, [], [])

    async def test_who_forges_alerts_takes_nothing_back(self, world: ReleaseWorld) -> None:
        """Neither without the secret, nor with a copy of an old alert, nor with ten megabytes."""
        body, statuses = world.notification(), list[int]()
        old, other = world.signed(body, ago=301), world.signed(world.notification(version=1))
        async with world.sender() as sender:
            for sent, headers in (
                (body, {}),
                (body, {"authorization": "Bearer wrong"}),
                (body, other),
                (body, old),
                (body.ljust(10_000_000), BEARER),
            ):
                answer = await sender.post("/v1/alerts", content=sent, headers=headers)
                statuses.append(answer.status_code)
        await world.passes()
        assert statuses == [401, 401, 401, 403, 413]
        assert (await world.states(), await world.rollbacks()) == (BEFORE, [])

    async def test_a_signed_alert_counts(self, world: ReleaseWorld) -> None:
        body = world.notification()
        async with world.sender() as sender:
            await sender.post("/v1/alerts", content=body, headers=world.signed(body))
        await world.passes()
        assert await world.states() == AFTER

    async def test_a_store_that_is_down_loses_no_alert(
        self, world: ReleaseWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A 503 is sent again; where the store fails later, nothing is begun, and the next pass goes on."""
        async with world.sender() as sender:
            with monkeypatch.context() as patch:
                patch.setattr(world.store, "take_alerts", full)
                answer = await sender.post("/v1/alerts", content=world.notification(), headers=BEARER)
                assert answer.status_code == 503
            await sender.post("/v1/alerts", content=world.notification(), headers=BEARER)
        with monkeypatch.context() as patch:
            patch.setattr(world.store, "write_rollback", full)
            with pytest.raises(Unavailable):
                await world.passes()
        assert (await world.states(), world.phases) == (BEFORE, [])
        await world.passes(5)
        assert (await world.states(), world.phases) == (AFTER, ["Intended", "Done"])

    async def test_two_alerts_at_once_are_one_rollback_for_each_release(self, world: ReleaseWorld) -> None:
        """One after the other, with the pause between them; no release twice."""
        await world.canary(3)
        await world.alert(1, version=2)
        await world.alert(2, version=3)
        await world.passes(200)
        assert len(await world.rollbacks()) == 1
        for _ in range(40):
            await world.passes(60)
        done = [one for one in await world.rollbacks() if one.phase not in PAGES]
        assert len({one.release for one in done}) == len(done)
        times = sorted(one.began_at for one in done)
        assert all(after - before >= 1_800 for before, after in pairwise(times))
        assert (await world.states())[3] is State.TAKEN_BACK
        assert State.IN_FORCE in (await world.states()).values()

    async def test_many_alerts_ask_prometheus_once_a_pass(self, world: ReleaseWorld) -> None:
        world.found = world.measured(total=10.0)
        for number in range(50):
            await world.alert(number)
        await world.passes()
        await world.passes(5)
        assert (len(world.asked), await world.states()) == (2, BEFORE)

    async def test_alerts_about_nothing_are_over(self, world: ReleaseWorld) -> None:
        await world.alert(1, resolved=True)
        await world.alert(2, kind="")
        await world.alert(3, kind="moon")
        await world.passes()
        assert (await world.states(), world.asked) == (BEFORE, [])
        assert (await world.store.open_alerts(limit=9)).alerts == ()
