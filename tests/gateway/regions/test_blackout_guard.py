"""Tests the blackout guard: when lost regions mean that the gateway itself is cut off."""

import pytest

from gateway.regions.blackout_guard import after_blackout_check, is_cut_off
from gateway.regions.health import RegionHealth, unknown_health
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings

SETTINGS = HealthSettings()


def lost(name: str, at: float, *, lost_in_blackout: bool = False) -> RegionHealth:
    return RegionHealth(
        name=name,
        ever_answered=True,
        condition=RegionCondition.UNREACHABLE,
        lost_at=at,
        lost_in_blackout=lost_in_blackout,
    )


def back(name: str, at: float = float("-inf")) -> RegionHealth:
    return RegionHealth(name=name, ever_answered=True, condition=RegionCondition.HEALTHY, returned_at=at)


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        ([lost("a", 0.0), back("b"), back("c")], False),
        ([lost("a", 0.0), lost("b", 9.0), back("c")], True),
        ([lost("a", 0.0), lost("b", 60.0), back("c")], False),
        ([lost("a", 0.0), lost("b", 60.0), lost("c", 65.0)], True),
        ([lost("a", 0.0), back("b")], False),
        ([lost("a", 0.0), lost("b", 1.0)], True),
        ([lost("a", 0.0)], True),
        ([lost("a", 0.0), lost("b", 0.0), back("c"), back("d")], False),
        ([unknown_health("a"), unknown_health("b"), unknown_health("c")], False),
        ([], False),
    ],
)
def test_more_than_half_lost_together_means_cut_off(healths: list[RegionHealth], expected: bool) -> None:
    """Lost one after the other, they are lost themselves; half of two is not more than half; a single region
    leaves nowhere to move to."""
    assert is_cut_off(healths, 100.0, SETTINGS) is expected


def test_it_lasts_as_long_as_they_stay_lost() -> None:
    assert is_cut_off([lost("a", 0.0), lost("b", 0.0), back("c")], 1e6, SETTINGS)


def test_a_region_lost_together_with_the_canary_means_cut_off() -> None:
    """The canary depends on no region; alone it means nothing, since every region answers."""
    canary = lost("canary", 5.0)

    assert is_cut_off([lost("a", 0.0), back("b"), back("c")], 100.0, SETTINGS, canary=canary)
    assert not is_cut_off([lost("a", 50.0), back("b"), back("c")], 100.0, SETTINGS, canary=canary)
    assert not is_cut_off([back("a"), back("b"), back("c")], 100.0, SETTINGS, canary=canary)


def test_those_that_answer_later_than_the_others_are_waited_for() -> None:
    """A blackout ends for all at once, but their probes end one after the other: the last one's shards must
    not move for that."""
    last = [back("a", 99.0), back("b", 99.0), lost("c", 0.0, lost_in_blackout=True)]

    assert is_cut_off(last, 100.0, SETTINGS)
    assert not is_cut_off(last, 99.0 + 7.5, SETTINGS)
    assert not is_cut_off([back("a", 99.0), back("b", 99.0), back("c", 100.0)], 100.0, SETTINGS)


def test_only_regions_lost_together_are_marked() -> None:
    """One that was lost long before, or that was restarted meanwhile, was down itself."""
    restarted = RegionHealth(name="d", ever_answered=True, lost_at=101.0, restarted_while_lost=True)
    healths = [lost("a", 0.0), lost("b", 100.0), lost("c", 102.0), restarted, back("e")]

    assert [health.lost_in_blackout for health in after_blackout_check(healths, SETTINGS)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert after_blackout_check([lost("a", 0.0), back("b"), back("c")], SETTINGS) == (
        lost("a", 0.0),
        back("b"),
        back("c"),
    )
