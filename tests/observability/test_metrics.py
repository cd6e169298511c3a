"""What is counted when a shard's history is committed."""

from typing import Any

from msgspec import Struct

from observability.metrics import Metrics


class Entry(Struct, frozen=True, kw_only=True):
    kind: str
    detail: dict[str, Any] = {}


class Health(Struct, frozen=True, kw_only=True):
    condition: str
    peak_ewma_seconds: float = 0.1


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_process_may_have_several_registries() -> None:
    """Tests and simulations make many gateways: nothing is global."""
    one, other = Metrics(), Metrics()
    one.count_request("submit", "Accepted")

    assert value(one, "waypost_requests_total", call="submit", outcome="Accepted") == 1
    assert value(other, "waypost_requests_total", call="submit", outcome="Accepted") is None


def test_a_failover_is_counted_for_the_region_that_was_lost() -> None:
    """And its duration from the loss until the shard runs again."""
    metrics = Metrics()
    metrics.observe_shard([Entry(kind="Abandoned", detail={"region": "beijing"})], since_lost=2.0)
    metrics.observe_shard(
        [Entry(kind="Placed"), Entry(kind="Confirmed", detail={"region": "shanghai"})], since_lost=4.0
    )
    metrics.observe_shard([Entry(kind="Confirmed", detail={"region": "shanghai"})], since_lost=None)

    assert value(metrics, "waypost_failovers_total", region="beijing") == 1
    assert value(metrics, "waypost_recovery_seconds_sum") == 4.0
    assert value(metrics, "waypost_recovery_seconds_count") == 1


def test_the_end_of_a_shard_is_counted_once() -> None:
    """The gauge counts what is under way only: how much was done, and how much of it failed, is a rate."""
    metrics = Metrics()
    metrics.observe_shard(
        [Entry(kind="Confirmed", detail={"from": "Dispatching", "to": "Running"})], since_lost=None
    )
    metrics.observe_shard(
        [Entry(kind="Completed", detail={"from": "Running", "to": "Succeeded"})], since_lost=None
    )
    metrics.observe_shard([Entry(kind="Reaped", detail={"region": "beijing"})], since_lost=None)
    metrics.observe_shard(
        [Entry(kind="Expired", detail={"from": "Pending", "to": "Failed"})], since_lost=None
    )

    assert value(metrics, "waypost_shards_ended_total", phase="Succeeded") == 1
    assert value(metrics, "waypost_shards_ended_total", phase="Failed") == 1
    assert value(metrics, "waypost_shards_ended_total", phase="Running") is None


def test_a_region_is_in_one_condition() -> None:
    """The one it has left falls to 0, so that an alert on it ends."""
    metrics = Metrics()
    metrics.observe_region("beijing", Health(condition="Healthy"))
    metrics.observe_region("beijing", Health(condition="Unreachable"))

    assert value(metrics, "waypost_region_condition", region="beijing", condition="Healthy") == 0
    assert value(metrics, "waypost_region_condition", region="beijing", condition="Unreachable") == 1
