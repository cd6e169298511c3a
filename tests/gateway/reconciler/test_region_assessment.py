"""Tests the assessment of regions by their health, which changes nothing."""

import pytest
from msgspec import structs

from gateway.core.shard_states import Phase
from gateway.reconciler.failover import give_up_unconfirmed
from gateway.reconciler.region_assessment import apply_assessment, assess_regions
from gateway.reconciler.working_set.region import Region, removed_region
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.settings import FailoverSettings, HealthSettings
from tests.gateway.reconciler.under_way import NOW, loaded_run, region, tracked, working_set
from tests.gateway.regions.healths import ejected

HEALTH = HealthSettings()


def lost(name: str, *, at: float = NOW.monotonic) -> Region:
    found = region(name)
    found.health = structs.replace(
        found.health, condition=RegionCondition.UNREACHABLE, reason="Timeout", since=at, lost_at=at
    )
    return found


def well(name: str) -> Region:
    found = region(name)
    found.stream_opened = True
    found.health = structs.replace(found.health, condition=RegionCondition.HEALTHY, ever_answered=True)
    return found


def test_to_decide_changes_nothing() -> None:
    """What was decided is applied by another function, and counts only then."""
    regions = [lost("beijing"), well("shanghai"), region("shenzhen")]
    before = [(one.health, one.name) for one in regions]

    assessment = assess_regions(regions, NOW, HEALTH, tick=True)

    assert [(one.health, one.name) for one in regions] == before
    assert assessment.lost == {"beijing"}
    assert assessment.back == {"shanghai"}
    assert not assessment.cut_off


def test_a_gateway_that_lost_most_regions_at_once_is_cut_off() -> None:
    """Its shards are suspected, and none of them moves."""
    there = lost("beijing")
    shard = tracked(loaded_run(), 0, phase=Phase.RUNNING)
    ws = working_set(shard, regions=(there, lost("shanghai"), well("shenzhen")))

    assessment = assess_regions(ws.regions.values(), NOW, HEALTH, tick=True)
    apply_assessment(ws, assessment, NOW, FailoverSettings())

    assert assessment.cut_off
    assert there.health.lost_in_blackout
    assert (shard.shard.phase, shard.shard.reason) == (Phase.SUSPECT, "Timeout")


def test_regions_that_stay_lost_make_no_blackout() -> None:
    """A region given up or out of the settings says nothing of the gateway's own network."""
    given_up = lost("beijing")
    given_up.taints = frozenset({Taint.FORGOTTEN})
    regions = [given_up, removed_region("shanghai", NOW), well("shenzhen")]

    assessment = assess_regions(regions, NOW, HEALTH, tick=True)

    assert not assessment.cut_off
    assert [health.name for health in assessment.counted] == ["shenzhen"]
    assert assessment.lost == {"beijing", "shanghai"}


def test_a_region_with_another_journal_is_not_back() -> None:
    """Its suspect shards would be sent to a journal that knows nothing of them."""
    there = well("beijing")
    there.unknown_journal = "other"

    assert assess_regions([there], NOW, HEALTH, tick=True).back == frozenset()


def test_a_cordoned_region_is_no_elsewhere() -> None:
    """It answers and takes no new work: an ejection of the last one that does would keep all work waiting."""
    cordoned = [well("beijing"), well("shanghai")]
    for one in cordoned:
        one.taints = frozenset({Taint.CORDONED})
    last = well("shenzhen")
    last.health = structs.replace(ejected(NOW.monotonic), name="shenzhen")
    assessment = assess_regions([*cordoned, last], NOW, HEALTH, tick=False)

    assert assessment.healths["shenzhen"].condition is RegionCondition.WARMING
    assert [health.name for health in assessment.counted] == ["beijing", "shanghai", "shenzhen"]


@pytest.mark.parametrize(("condition", "pause_seconds"), [("Ejected", 4.0), ("Healthy", 0.0)])
def test_creates_that_a_last_resort_does_not_confirm_are_repeated_ever_later(
    condition: str, pause_seconds: float
) -> None:
    """What has no other place would use up all its failovers within minutes, and be Quarantined."""
    there = well("beijing")
    there.health = structs.replace(there.health, condition=RegionCondition(condition))
    shard = tracked(loaded_run(), 0, failovers=2)
    shard.fenced_until = shard.sent_at = NOW.monotonic - 1.0
    settings = FailoverSettings(backoff_seconds=1.0, backoff_maximum_seconds=60.0)
    give_up_unconfirmed(working_set(shard, regions=(there,)), NOW, settings)

    assert shard.shard.phase is Phase.PENDING
    assert max(0.0, shard.shard.not_before - NOW.wall) == pause_seconds
