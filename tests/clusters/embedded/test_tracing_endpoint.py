"""Tests that a cluster refuses a tracing endpoint that it cannot send spans to."""

from pathlib import Path

import pytest
from loguru import logger

from clusters.embedded.main import ClusterSettings, run_cluster
from waypost.pki import authority


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://ada:quiet@collector/v1/traces"])
def test_a_cluster_does_not_start_with_an_endpoint_that_cannot_be_used(
    endpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says which setting is wrong, and shows no secret of it."""
    authority.create_root(tmp_path / "pki")
    authority.issue_cluster(tmp_path / "pki", "beijing")
    settings = ClusterSettings(
        region="beijing",
        state=str(tmp_path / "state"),
        pki=str(tmp_path / "pki"),
        port=0,
        tracing_endpoint=endpoint,
    )

    assert run_cluster(settings) == 1
    logged = capfd.readouterr().err
    logger.remove()
    assert "cannot run: the tracing endpoint: " in logged
    # The log hides passwords by itself: nothing of the URL may be in it.
    assert "collector" not in logged
