"""Tests that the labels of metrics have at most as many values as they declare."""

from collections.abc import Collection

import pytest

from clusters.registry import executors_at
from gateway.api.routes import OPERATIONS
from gateway.composition.policy import POLICY_ENGINES
from gateway.core.decision import Action
from gateway.core.errors import GatewayError
from gateway.core.rollback import RollbackPhase
from gateway.core.shard_states import LEAVES_ORPHAN, Event, Phase
from gateway.gauges import engine_kind
from gateway.regions.region_condition import RegionCondition
from observability import metric_declaration as declared
from observability.metric_declaration import Label


def reasons(kind: type[GatewayError]) -> set[str]:
    return {kind.reason}.union(*(reasons(child) for child in kind.__subclasses__()))


@pytest.mark.parametrize(
    ("label", "values"),
    [
        (declared.CALL, ["none", *(one.name for path in OPERATIONS.values() for one in path.values())]),
        (declared.OUTCOME, ["Ok", "Accepted", "Replayed", "DryRun", *reasons(GatewayError)]),
        (declared.ACTION, list(Action)),
        (declared.ENGINE, {"gateway", *map(engine_kind, POLICY_ENGINES)}),
        (declared.CONDITION, list(RegionCondition)),
        (declared.PHASE, list(Phase)),
        (declared.ROLLBACK_PHASE, list(RollbackPhase)),
        (declared.EXECUTOR, executors_at([]).run_types.keys()),
    ],
    ids=lambda value: value.name if isinstance(value, Label) else "",
)
def test_a_label_has_room_for_all_its_values(label: Label, values: Collection[str]) -> None:
    """The number of series is bounded by what is declared: it must be true."""
    assert len(values) <= label.most


def test_the_phases_of_rollbacks_are_those_that_there_are() -> None:
    """Each is there from the start, at 0: an alert sees the first."""
    assert tuple(RollbackPhase) == declared.ROLLBACK_PHASES


def test_the_causes_of_failovers_are_events_that_take_a_shard_from_its_region() -> None:
    """History kinds are the causes: there is no second list."""
    causes = {word.strip() for word in declared.CAUSE.values.partition(":")[0].split(",")}
    assert causes <= {event.value for event in LEAVES_ORPHAN}
    assert len(causes) == declared.CAUSE.most
    assert Event.CANCELLED not in causes
