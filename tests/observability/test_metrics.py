"""Tests the metrics of one gateway: what it counts, under which labels."""

from msgspec import Struct

from observability import cluster_metrics, gateway_metrics, process_metrics
from observability.metric_declaration import Declaration
from observability.metrics import Metrics

CALLERS_WORDS = {
    "tenant",
    "run",
    "shard",
    "task",
    "workflow",
    "subject",
    "user",
    "client",
    "path",
    "trace_id",
}
SHARED = [value for value in vars(process_metrics).values() if isinstance(value, Declaration)]
TABLE = [*SHARED, *(value for value in vars(gateway_metrics).values() if isinstance(value, Declaration))]
OF_CLUSTERS = [
    *SHARED,
    *(value for value in vars(cluster_metrics).values() if isinstance(value, Declaration)),
]


class Health(Struct, frozen=True, kw_only=True):
    condition: str
    cordoned: bool = False
    peak_ewma_seconds: float = 0.1


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_process_may_have_several_registries() -> None:
    """Tests and simulations make many gateways: nothing is global."""
    one, other = Metrics(), Metrics()
    one.count_request("submit", "Accepted", 0.01, "")

    assert value(one, "waypost_requests_total", call="submit", outcome="Accepted") == 1
    assert value(other, "waypost_requests_total", call="submit", outcome="Accepted") is None


def test_a_region_is_in_one_condition() -> None:
    """The one it has left falls to 0, so that an alert on it ends."""
    metrics = Metrics()
    metrics.observe_region("beijing", Health(condition="Healthy"))
    metrics.observe_region("beijing", Health(condition="Unreachable"))

    assert value(metrics, "waypost_region_condition", region="beijing", condition="Healthy") == 0
    assert value(metrics, "waypost_region_condition", region="beijing", condition="Unreachable") == 1


def test_a_cordon_is_shown_until_it_ends() -> None:
    """Nothing else tells of one that was forgotten, as long as work fits elsewhere."""
    metrics, shown = Metrics(), list[float | None]()
    for cordoned in (False, True, False):
        metrics.observe_region("beijing", Health(condition="Healthy", cordoned=cordoned))
        shown.append(value(metrics, "waypost_region_cordoned", region="beijing"))
    assert shown == [0, 1, 0]


def test_what_is_declared_is_made_and_nothing_else() -> None:
    """An alert on a metric that is declared and never made cannot fire."""
    registry = Metrics().registry

    assert list(registry.declared.values()) == sorted(TABLE, key=list(registry.declared.values()).index)
    families = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    assert families == {metric.name for metric in TABLE}
    made = cluster_metrics.ClusterMetrics().registry.declared.values()
    assert [metric for metric in OF_CLUSTERS if metric not in made] == []


def test_a_process_has_few_series_whoever_calls_it() -> None:
    """Each label has a bound, and none takes the words of a caller, of whom there are any number."""
    assert [
        m.name for m in (*TABLE, *OF_CLUSTERS) if {label.name for label in m.labels} & CALLERS_WORDS
    ] == []
    assert [m.name for m in (*TABLE, *OF_CLUSTERS) if m.most_series > 2_000] == []


def test_slow_calls_have_their_trace_as_an_exemplar() -> None:
    """From the bucket on a dashboard to the log lines of a call that is in it. Quick calls have none: it
    would cost more than the observation."""
    metrics = Metrics()
    metrics.count_request("submit", "Accepted", 0.05, "a" * 32)
    metrics.count_request("submit", "Accepted", 0.7, "b" * 32)
    text, media_type = metrics.registry.exposition("application/openmetrics-text; version=1.0.0")

    (line,) = [line for line in text.decode().splitlines() if "# {" in line]
    assert line.startswith(
        f'waypost_request_seconds_bucket{{call="submit",le="0.8"}} 2.0 # {{trace_id="{"b" * 32}"}} 0.7'
    )
    assert media_type.startswith("application/openmetrics-text")
    assert b"_created" not in text


def test_who_asks_for_no_format_gets_plain_text() -> None:
    """A person with curl, or an older scraper."""
    text, media_type = Metrics().registry.exposition("*/*")

    assert (b"# EOF" in text, media_type.partition(";")[0]) == (False, "text/plain")


def test_one_revision_is_shown() -> None:
    """Each release of rules would leave a series behind."""
    metrics = Metrics()
    metrics.show_revision("opa", "r1")
    metrics.show_revision("opa", "r2")

    assert value(metrics, "waypost_policy_revision_info", engine="opa", revision="r1") is None
    assert value(metrics, "waypost_policy_revision_info", engine="opa", revision="r2") == 1


class Decided(Struct, frozen=True, kw_only=True):
    revision: str
    action: str = "runs:submit"
    allow: bool = True
    engine: str = "embedded"
    fault: str = ""
    duration_seconds: float = 0.001


def test_submissions_are_counted_by_the_revision_that_decided() -> None:
    """Rollbacks are decided by them. All outcomes are there from the first, and old revisions go."""
    metrics, name = Metrics(), "waypost_submission_decisions_total"
    metrics.count_decision(Decided(revision="r0"))
    metrics.count_decision(Decided(revision="r0", allow=False))
    metrics.count_decision(Decided(revision="r0", action="runs:read"))
    counts = [
        value(metrics, name, revision="r0", outcome=one) for one in ("permitted", "refused", "unanswered")
    ]
    assert counts == [1, 1, 0]
    for number in range(1, 21):
        metrics.count_decision(Decided(revision=f"r{number}"))
    kept = [value(metrics, name, revision=f"r{number}", outcome="permitted") for number in range(21)]
    assert kept == [None, *[1.0] * 20]
