"""Tests how many regions may be ejected at once."""

import pytest
from msgspec import structs

from gateway.regions.ejection_limit import within_ejection_limit
from gateway.regions.health import RegionHealth
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings
from tests.gateway.regions.healths import call, ejected, healthy, unreachable


@pytest.mark.parametrize(
    ("healths", "ratio", "kept"),
    [
        ([ejected(1.0)], 0.5, [False]),
        ([ejected(1.0)], 1.0, [False]),
        ([ejected(1.0), healthy()], 0.5, [True, False]),
        ([ejected(1.0), ejected(2.0)], 1.0, [False, True]),
        ([ejected(1.0), unreachable()], 0.5, [False, False]),
        ([ejected(1.0), unreachable(), healthy()], 0.5, [True, False, False]),
        ([ejected(3.0), ejected(2.0), ejected(1.0)], 0.5, [True, False, False]),
        ([ejected(3.0), ejected(2.0), healthy()], 0.7, [True, True, False]),
        ([ejected(3.0), ejected(2.0), healthy()], 0.0, [False, False, False]),
    ],
)
def test_the_last_that_answers_is_never_ejected_nor_more_than_a_part(
    healths: list[RegionHealth], ratio: float, kept: list[bool]
) -> None:
    """Those that would be back soonest are back now; with no region to go to an ejection only delays work."""
    named = [structs.replace(health, name=f"region-{n}") for n, health in enumerate(healths)]
    after = within_ejection_limit(named, 5.0, HealthSettings(ejected_ratio=ratio))

    assert [health.condition is RegionCondition.EJECTED for health in after] == kept


def test_a_region_that_is_let_in_again_is_in_slow_start_and_its_incident_counts() -> None:
    """Its faults in a row do not: the next one would eject it again at once."""
    (after,) = within_ejection_limit([ejected(1.0)], 5.0, HealthSettings())

    assert after.condition is RegionCondition.WARMING
    assert after.ejections.incidents == 1
    assert call(after, 6.0, "Unavailable").condition is RegionCondition.WARMING
