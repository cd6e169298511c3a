"""Whatever happens to a region, its health moves along legal edges and within bounds."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.regions.blackout_guard import excused
from gateway.regions.health import (
    RegionHealth,
    called,
    evaluated,
    probe_now,
    probed,
    restarted,
    unknown,
    weight,
)
from gateway.regions.latency import peak_at
from gateway.regions.region_condition import RegionCondition
from gateway.settings import HealthSettings

RULES = HealthSettings()
C = RegionCondition

EDGES = {
    C.UNKNOWN: {C.HEALTHY, C.UNREACHABLE},
    C.HEALTHY: {C.DEGRADED, C.EJECTED, C.UNREACHABLE},
    C.DEGRADED: {C.HEALTHY, C.WARMING, C.EJECTED, C.UNREACHABLE},
    C.WARMING: {C.HEALTHY, C.DEGRADED, C.EJECTED, C.UNREACHABLE},
    C.EJECTED: {C.WARMING, C.DEGRADED, C.UNREACHABLE},
    C.UNREACHABLE: {C.HEALTHY, C.WARMING, C.EJECTED},
}
"""Who is ejected or lost comes back warming; Unreachable to Healthy is the first answer ever, or the end of a blackout."""


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
            return probed(
                health, began=at - seconds, ended=at, failure=failure, rules=RULES, dice=lambda: 0.5
            )
        case "call":
            return called(health, ended=at, seconds=seconds, failure=failure, rules=RULES, dice=lambda: 0.5)
        case "evaluate":
            return evaluated(health, at, RULES)
        case "ask":
            return probe_now(health, at)
        case "restart":
            return restarted(health)
        case _:
            return excused([health], RULES)[0]


@example(
    script=[(0.0, "probe", "Timeout", 1.0)] * 2
    + [(0.0, "evaluate", None, 0.0)] * 3
    + [(0.0, "probe", None, 0.0)]
)
@given(script=steps)
def test_whatever_happens_a_region_moves_along_legal_edges(
    script: list[tuple[float, str, str | None, float]],
) -> None:
    """Its share stays within bounds, its next probe stays near, and only who may take work has no reason to be out."""
    health, at = unknown("beijing"), 0.0
    history = [health]
    for pause, kind, failure, seconds in script:
        at += pause / 10
        health = stepped(health, at, kind, failure, seconds)
        history.append(health)
        assert 0.1 <= weight(health, at, RULES) <= 1.0
        assert health.next_probe_at <= at + 2.4
        assert 0.0 <= peak_at(health.ewma, at, RULES.ewma_tau_seconds) <= 5.0
        assert (health.condition is C.UNREACHABLE) == (health.lost_at is not None)

    for before, after in pairwise(history):
        if after.condition is not before.condition:
            assert after.condition in EDGES[before.condition]
            assert after.since >= before.since
