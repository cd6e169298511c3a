"""The registry of one gateway: what it counts, under which labels."""

from msgspec import Struct

from observability.metrics import Metrics


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


def test_a_region_is_in_one_condition() -> None:
    """The one it has left falls to 0, so that an alert on it ends."""
    metrics = Metrics()
    metrics.observe_region("beijing", Health(condition="Healthy"))
    metrics.observe_region("beijing", Health(condition="Unreachable"))

    assert value(metrics, "waypost_region_condition", region="beijing", condition="Healthy") == 0
    assert value(metrics, "waypost_region_condition", region="beijing", condition="Unreachable") == 1
