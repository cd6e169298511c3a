"""Tests which Suspect shards leave their region while the gateway takes itself to be cut off."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.instant import NEVER
from gateway.core.shard_states import Phase
from gateway.reconciler.failover import fail_over
from gateway.reconciler.working_set.tracked_shard import TrackedShard
from gateway.regions.health import RegionHealth, unknown_health
from gateway.settings import FailoverSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, tracked, working_set
from waypost.workflow.task import SideEffects

SETTINGS = FailoverSettings()
AGO = NOW.monotonic - 60.0
"""The time at which two of three regions were lost."""


def healths(**third: Any) -> list[RegionHealth]:
    """Returns two lost regions and a third one, which answers."""
    well = structs.replace(unknown_health("shenzhen"), ever_answered=True, answered_at=NOW.monotonic - 1.0)
    lost = [structs.replace(unknown_health(name), lost_at=AGO) for name in ("beijing", "shanghai")]
    return [*lost, structs.replace(well, **third)]


def suspect(**changes: Any) -> TrackedShard:
    """Returns a shard whose create was sent just before its region was lost, and never answered."""
    shard = tracked(
        loaded_run(side_effects=changes.pop("side_effects", SideEffects.IDEMPOTENT)), 0, phase=Phase.SUSPECT
    )
    shard.suspected_at, shard.intended_at, shard.fenced_until = AGO, AGO - 3.0, AGO + 2.0
    shard.blamed = True
    for name, value in changes.items():
        setattr(shard, name, value)
    return shard


def phase_after(shard: TrackedShard, *third: RegionHealth) -> Phase:
    fail_over(working_set(shard), third or healths(), NOW, SETTINGS, cut_off=True)
    return shard.shard.phase


@pytest.mark.parametrize("side_effects", SideEffects)
def test_what_no_cluster_is_known_to_have_leaves_and_is_not_blamed(side_effects: SideEffects) -> None:
    """Else work that was sent in the seconds before the loss was noticed would wait for a person."""
    shard = suspect(side_effects=side_effects)

    assert phase_after(shard) is Phase.PENDING
    assert [orphan.region for orphan in shard.shard.orphans] == ["beijing"]
    assert shard.shard.regions_lost == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"intended_at": NEVER},
        {"running_since": {"t0": AGO - 1.0}},
        {"fenced_until": NOW.monotonic + 1.0},
        {"side_effects": SideEffects.EXCLUSIVE, "fenced_until": NOW.monotonic - 16.0},
    ],
    ids=["confirmed", "a task was heard to start", "within its fence", "its lease may be held"],
)
def test_what_may_run_or_may_start_stays(changes: dict[str, Any]) -> None:
    assert phase_after(suspect(**changes)) is Phase.SUSPECT


@pytest.mark.parametrize(
    "third",
    [{"returned_at": NOW.monotonic - 3.0}, {"answered_at": AGO - 1.0}, {"lost_at": AGO}],
    ids=["back from the same loss", "has not answered since", "lost itself"],
)
def test_without_a_region_that_answered_all_the_time_nothing_moves(third: dict[str, Any]) -> None:
    """The gateway's whole network may have been lost: the others are back in a moment."""
    assert phase_after(suspect(), *healths(**third)) is Phase.SUSPECT


@pytest.mark.parametrize(
    ("successes", "admitted", "phase"),
    [(0, True, Phase.PENDING), (1, True, Phase.SUSPECT), (1, False, Phase.PENDING)],
    ids=["silent", "answers again", "another journal answers"],
)
def test_what_waits_for_a_region_that_answers_again_stays(
    successes: int, admitted: bool, phase: Phase
) -> None:
    """It takes several answers until the region counts as reachable: a restart of two seconds moved its
    shards although it had answered after one."""
    shard = suspect(running_since={"t0": AGO - 1.0})
    ws = working_set(shard)
    beijing = ws.regions["beijing"]
    beijing.stream_opened = admitted
    beijing.health = structs.replace(beijing.health, successes=successes)
    answered = [structs.replace(one, answered_at=NOW.monotonic - 1.0) for one in healths()]

    fail_over(ws, answered, NOW, SETTINGS, cut_off=False)
    assert shard.shard.phase is phase
