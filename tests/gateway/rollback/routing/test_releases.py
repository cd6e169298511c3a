"""Tests routing revisions as a kind of release, by the conformance suite, and what a rollback leaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.errors import Unavailable
from gateway.core.history import HistoryKind, RoutingDetail
from gateway.regions.region_condition import Taint
from gateway.store.acts import ActQuery
from tests.conformance.release_alerts import AFTER, BEFORE
from tests.conformance.release_kind import ReleaseKindConformance
from tests.conformance.release_world import State
from tests.gateway.core.history_entries import history_entry
from tests.gateway.policy.rollout.releases import opened
from tests.gateway.rollback.routing.routing_world import RoutingWorld, routing_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RoutingWorld]:
    async with opened(tmp_path) as gateway:
        yield await routing_world(gateway)


class TestRoutingRevisions(ReleaseKindConformance):
    """Routing revisions, of which one is in force at a time, for all work."""


async def test_what_the_rollback_did_is_an_act_with_its_reason(world: RoutingWorld) -> None:
    await world.alert()
    await world.passes()
    (act, *_) = (await world.store.acts(ActQuery(tenants=None))).entries
    why = "ItGoesBadly: 40.0% are failed, 1.0% in the baseline"
    assert isinstance(act.detail, RoutingDetail)
    assert (act.kind, act.actor) == (HistoryKind.ROUTING_ROLLED_BACK, "rollback")
    assert (act.detail.routing, act.detail.in_force, act.detail.reason) == (2, 1, why)
    routing = await world.store.routing()
    assert [one.reason for one in routing.revisions] == ["", why]


async def test_an_emergency_cordon_outlives_the_rollback(world: RoutingWorld) -> None:
    """Whether it was set before the bad revision or while that one was in force."""
    cordoned = history_entry(HistoryKind.CORDONED, at=world.now, actor="ada")
    await world.store.add_taint("beijing", Taint.CORDONED, entry=cordoned)
    await world.alert()
    await world.passes()
    assert await world.states() == AFTER
    assert await world.store.taints() == {"beijing": {Taint.CORDONED}}


async def test_the_first_revision_gives_way_to_the_settings(tmp_path: Path) -> None:
    async with opened(tmp_path) as gateway:
        world = RoutingWorld(gateway)
        await world.release(1)
        await world.alert(version=1)
        await world.passes(200)
        assert await world.states() == {1: State.TAKEN_BACK, 2: State.WAITING, 3: State.WAITING}
        assert 'routing="settings"' in world.asked[0].baseline
        (rollback,) = await world.rollbacks()
        assert (rollback.release, rollback.returns_to) == ("1", "")


async def test_without_a_revision_an_alert_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as gateway:
        world = RoutingWorld(gateway)
        await world.alert()
        await world.passes()
        assert (world.asked, (await world.store.open_alerts(limit=9)).alerts) == ([], ())


async def test_a_revision_that_became_the_last_good_one_meanwhile_stays(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has returned to it after the decision: then a person is wanted."""
    await TestRoutingRevisions().crash_between(world, monkeypatch)
    await world.release(3)
    await world.take_back(3)
    await world.passes(5)
    assert world.phases == ["Intended", "Failed"]
    assert await world.states() == {1: State.BEFORE, 2: State.IN_FORCE, 3: State.TAKEN_BACK}


async def test_a_change_at_the_same_moment_is_tried_again(
    world: RoutingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two changes of one state the store takes one; the rollback that was begun goes on."""
    write = world.store.write_routing

    async def overtaken(*_: object, **__: object) -> bool:
        monkeypatch.setattr(world.store, "write_routing", write)
        return False

    await TestRoutingRevisions().crash_between(world, monkeypatch)
    monkeypatch.setattr(world.store, "write_routing", overtaken)
    with pytest.raises(Unavailable, match="changed meanwhile"):
        await world.passes(5)
    assert await world.states() == BEFORE
    await world.passes(5)
    assert await world.states() == AFTER
