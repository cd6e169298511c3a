"""Tests the counts of ended shards by routing revision: what is counted, and that few series stay few."""

from gateway.core.shard_states import TERMINAL
from observability.ended_shards import PHASES
from observability.metric_declaration import ROUTING
from observability.metrics import Metrics


def counted(metrics: Metrics, routing: str, phase: str = "Failed") -> float | None:
    labels = {"routing": routing, "phase": phase}
    return metrics.registry.get_sample_value("waypost_shards_ended_total", labels)


def test_shards_are_counted_by_revision_and_phase() -> None:
    """Every phase is there from the first: a rate does not see what appears with its first count."""
    metrics = Metrics()
    metrics.ends.count(7, "Failed")
    assert [counted(metrics, "7", phase) for phase in ("Failed", "Succeeded")] == [1, 0]
    assert set(PHASES) == set(TERMINAL)


def test_work_without_a_revision_is_counted_for_the_settings() -> None:
    metrics = Metrics()
    metrics.ends.begin(0)
    assert counted(metrics, "settings") == 0


def test_the_revision_longest_unused_gives_way() -> None:
    """What is in force, or still has shards that end, keeps its counts."""
    metrics = Metrics()
    for revision in range(ROUTING.most):
        metrics.ends.count(revision, "Failed")
    metrics.ends.count(1, "Failed")
    metrics.ends.begin(0)
    metrics.ends.begin(99)
    found = [counted(metrics, label) for label in ("settings", "1", "2", "3", "99")]
    assert found == [1, 2, None, 1, 0]
