"""Example probes and calls for tests, and the region healths that follow from them."""

from gateway.regions.health import RegionHealth, unknown_health
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe
from gateway.regions.latency import peak_at
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings

SETTINGS = HealthSettings()


def dice() -> float:
    return 0.5


def probe(
    health: RegionHealth, at: float, failure: str | None = None, *, seconds: float = 0.05
) -> RegionHealth:
    return after_probe(health, began=at - seconds, ended=at, failure=failure, settings=SETTINGS, dice=dice)


def call(
    health: RegionHealth, at: float, failure: str | None = None, *, seconds: float = 0.05, items: int = 1
) -> RegionHealth:
    return after_call(
        health, ended=at, seconds=seconds, failure=failure, settings=SETTINGS, dice=dice, items=items
    )


def healthy() -> RegionHealth:
    return probe(unknown_health("beijing"), 0.05)


def unreachable(at: float = 1.0) -> RegionHealth:
    """Returns the health of a region lost at `at`, after three probes that timed out."""
    health = healthy()
    for late in (1.0, 0.5, 0.0):
        health = probe(health, at - late, "Timeout")
    return health


def after_answers(health: RegionHealth, at: float, times: int = 5) -> RegionHealth:
    """Returns the health after `times` answered probes, two seconds apart from `at` on."""
    for number in range(times):
        health = probe(health, at + number * 2.0)
    return health


def ewma(health: RegionHealth, at: float) -> float:
    return peak_at(health.ewma, at, SETTINGS.ewma_tau_seconds)


def ejected(at: float = 1.0) -> RegionHealth:
    health = healthy()
    for _ in range(5):
        health = call(health, at, "Unavailable")
    assert health.condition is RegionCondition.EJECTED
    return health
