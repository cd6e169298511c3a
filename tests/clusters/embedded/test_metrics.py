"""Tests the metrics that a cluster counts of its own work."""

import httpx

from clusters.embedded.http.internal import internal_application
from clusters.embedded.node import ClusterNode
from clusters.errors import ClusterError
from tests.clusters.embedded.working_node import ended, process, start


def value(node: ClusterNode, name: str, **labels: str) -> float | None:
    return node.metrics.registry.get_sample_value(name, labels)


async def test_tries_are_counted_by_executor_and_outcome(node: ClusterNode) -> None:
    """With what they waited and took: which type of task is slow, and whether here or everywhere."""
    await start(node, process("good", "true"), process("bad", "false", needs=("good",)))
    await ended(node)

    assert value(node, "waypost_cluster_tries_started_total", executor="process") == 2
    for outcome in ("Succeeded", "Failed"):
        assert value(node, "waypost_cluster_tries_ended_total", executor="process", outcome=outcome) == 1
    for name in ("waypost_cluster_wait_seconds_count", "waypost_cluster_run_seconds_count"):
        assert value(node, name, executor="process") == 2
    assert (value(node, "waypost_cluster_journal_seconds_count") or 0) > 0


async def test_the_internal_port_shows_how_full_the_cluster_is(node: ClusterNode) -> None:
    """As of the scrape, not of the last change."""
    await start(node, process("long", "sleep", "60"))
    transport = httpx.ASGITransport(internal_application(node.metrics, node.set_gauges, node.probe))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as internal:
        answer = await internal.get("/metrics", headers={"accept": "application/openmetrics-text"})
        text = answer.text
        assert (await internal.get("/livez")).text == "ok\n"
        assert (await internal.get("/readyz")).status_code == 200

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "waypost_cluster_attempts 1.0" in text
    assert "waypost_cluster_processors_busy 1.0" in text
    assert "waypost_cluster_queued_tasks 0.0" in text
    assert "waypost_cluster_queue_age_seconds 0.0" in text


async def test_a_cluster_whose_journal_takes_no_writes_is_not_ready(node: ClusterNode) -> None:
    """It lives, and could take no work: no reason to start it again."""

    async def probe() -> None:
        raise ClusterError("Unavailable", "the journal does not take writes")

    transport = httpx.ASGITransport(internal_application(node.metrics, node.set_gauges, probe))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as internal:
        answer = await internal.get("/readyz")
        assert (await internal.get("/livez")).status_code == 200

    assert (answer.status_code, answer.text) == (503, "not ready: the journal does not take writes\n")
