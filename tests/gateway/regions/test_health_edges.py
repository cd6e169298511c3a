"""Tests that a region's condition changes along permitted edges only, whatever happens."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.regions.blackout_guard import after_blackout_check
from gateway.regions.health import RegionHealth, unknown_health
from gateway.regions.health_after_calls import after_call
from gateway.regions.health_after_probes import after_probe, after_restart, after_stream_end
from gateway.regions.health_over_time import after_tick, slow_start_weight
from gateway.regions.latency import peak_at
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings

SETTINGS = HealthSettings()
C = RegionCondition

EDGES = {
    C.UNKNOWN: {C.HEALTHY, C.UNREACHABLE},
    C.HEALTHY: {C.DEGRADED, C.EJECTED, C.UNREACHABLE},
    C.DEGRADED: {C.HEALTHY, C.WARMING, C.EJECTED, C.UNREACHABLE},
    C.WARMING: {C.HEALTHY, C.DEGRADED, C.EJECTED, C.UNREACHABLE},
    C.EJECTED: {C.WARMING, C.DEGRADED, C.UNREACHABLE},
    C.UNREACHABLE: {C.HEALTHY, C.WARMING, C.EJECTED},
}
"""The permitted changes of a region's condition.

A region that was ejected or lost comes back Warming; from Unreachable to Healthy leads the first answer ever,
or the end of a blackout.
"""


steps = st.lists(
    st.tuples(
        st.floats(0, 90),
        st.sampled_from(["probe", "probe", "probe", "call", "evaluate", "ask", "restart", "excuse"]),
        st.none() | st.sampled_from(["Timeout", "Unreachable", "Unavailable", "Forbidden"]),
        st.floats(0, 1),
    ),
    max_size=120,
)


def stepped(health: RegionHealth, at: float, kind: str, failure: str | None, seconds: float) -> RegionHealth:
    match kind:
        case "probe":
            return after_probe(
                health, began=at - seconds, ended=at, failure=failure, settings=SETTINGS, dice=lambda: 0.5
            )
        case "call":
            return after_call(
                health, ended=at, seconds=seconds, failure=failure, settings=SETTINGS, dice=lambda: 0.5
            )
        case "evaluate":
            return after_tick(health, at, SETTINGS)
        case "ask":
            return after_stream_end(health, at)
        case "restart":
            return after_restart(health)
        case _:
            return after_blackout_check([health], SETTINGS)[0]


@example(
    script=[(0.0, "probe", "Timeout", 1.0)] * 2
    + [(0.0, "evaluate", None, 0.0)] * 3
    + [(0.0, "probe", None, 0.0)]
)
@given(script=steps)
def test_whatever_happens_a_region_moves_along_legal_edges(
    script: list[tuple[float, str, str | None, float]],
) -> None:
    """Its weight stays within bounds, its next probe stays near, and it is Unreachable exactly while it is
    lost."""
    health, at = unknown_health("beijing"), 0.0
    history = [health]
    for pause, kind, failure, seconds in script:
        at += pause / 10
        health = stepped(health, at, kind, failure, seconds)
        history.append(health)
        assert 0.1 <= slow_start_weight(health, at, SETTINGS) <= 1.0
        assert health.next_probe_at <= at + 2.4
        assert 0.0 <= peak_at(health.ewma, at, SETTINGS.ewma_tau_seconds) <= 5.0
        assert (health.condition is C.UNREACHABLE) == (health.lost_at is not None)

    for before, after in pairwise(history):
        if after.condition is not before.condition:
            assert after.condition in EDGES[before.condition]
            assert after.since >= before.since
