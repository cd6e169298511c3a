"""Tests the counts of ended shards by released version: what is counted, and that few series stay few."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram

from observability.metric_declaration import RELEASE
from observability.metrics import Metrics
from observability.release_counts import IDLE_SECONDS, ReleaseCounts

COUNT = "waypost_release_shard_seconds_count"
KEPT = RELEASE.most - 1


def counted(metrics: Metrics, release: str, outcome: str = "succeeded") -> float | None:
    return metrics.registry.get_sample_value(COUNT, {"release": release, "outcome": outcome})


def test_shards_are_counted_by_version_and_outcome() -> None:
    """Both outcomes are there from the first: a rate does not see what appears with its first count."""
    metrics = Metrics()
    metrics.releases.observe("demo/nightly@1", "failed", 2.0, at=0.0)

    assert counted(metrics, "demo/nightly@1", "failed") == 1
    assert counted(metrics, "demo/nightly@1") == 0
    assert counted(metrics, "other", "failed") == 0


def test_a_version_is_there_before_its_first_shard_ends() -> None:
    """Else a run of many short shards would appear with them all, and have grown by none."""
    metrics = Metrics()
    metrics.releases.begin("demo/nightly@1", at=0.0)

    assert [counted(metrics, "demo/nightly@1", outcome) for outcome in ("succeeded", "failed")] == [0, 0]


def test_versions_beyond_the_bound_are_counted_together() -> None:
    """Whoever is counted stays: counts with gaps would look like evidence."""
    metrics = Metrics()
    for number in range(KEPT + 10):
        for _ in range(2):
            metrics.releases.observe(f"demo/nightly@{number}", "succeeded", 1.0, at=0.0)

    assert counted(metrics, "other") == 20
    assert counted(metrics, f"demo/nightly@{KEPT - 1}") == 2
    assert counted(metrics, f"demo/nightly@{KEPT}") is None


def test_a_version_that_is_long_idle_gives_way() -> None:
    """Else a gateway that runs for months would count none of its newer versions."""
    metrics = Metrics()
    for number in range(KEPT):
        metrics.releases.observe(f"demo/nightly@{number}", "succeeded", 1.0, at=0.0)
    metrics.releases.observe("demo/nightly@0", "succeeded", 1.0, at=1.0)
    metrics.releases.observe("demo/new@1", "succeeded", 1.0, at=IDLE_SECONDS)
    metrics.releases.observe("demo/new@2", "succeeded", 1.0, at=IDLE_SECONDS - 1)

    gone, kept, new = (counted(metrics, f"demo/{name}") for name in ("nightly@1", "nightly@0", "new@1"))
    assert (gone, kept, new, counted(metrics, "demo/new@2")) == (None, 2, 1, None)


def test_a_tenant_of_many_versions_leaves_others_their_part() -> None:
    """However many it releases, another's canary is counted, and then stays counted."""
    metrics = Metrics()
    for round_ in range(3):
        for number in range(KEPT + 10):
            metrics.releases.observe(f"noisy/w{number}@1", "succeeded", 1.0, at=0.0)
        for number in range(KEPT // 2):
            metrics.releases.observe(f"quiet/w{number}@1", "failed", 1.0, at=0.0)
            assert counted(metrics, f"quiet/w{number}@1", "failed") == round_ + 1


endings = st.tuples(st.integers(0, 99), st.sampled_from(["succeeded", "failed"]), st.floats(0, 20_000))


@given(st.lists(endings, max_size=150))
def test_series_are_few_and_what_stays_is_counted_whole(ended: list[tuple[int, str, float]]) -> None:
    """Whatever names tenants choose. Within an hour nothing gives way, so nothing is left out."""
    bounded, hour = (Histogram("n", "-", ["release", "outcome"], buckets=(1,), registry=None) for _ in "12")
    wide, narrow = ReleaseCounts(bounded), ReleaseCounts(hour)
    for number, outcome, at in ended:
        wide.observe(f"t{number}/w@1", outcome, 1.0, at=at)
        narrow.observe(f"t/w{number}@1", outcome, 1.0, at=at % IDLE_SECONDS)

    for histogram in (bounded, hour):
        samples = [one for family in histogram.collect() for one in family.samples if one.name == "n_count"]
        assert len({one.labels["release"] for one in samples}) <= RELEASE.most
    assert sum(one.value for one in samples) == len(ended)
