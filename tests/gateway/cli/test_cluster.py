"""Tests the checks of `waypost cluster` before the cluster runs."""

from pathlib import Path

import pytest

from gateway.cli.cluster import cluster


def test_a_cluster_without_slots_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster(region="beijing", state=tmp_path / "state", pki=tmp_path, slots=0) == 1
    said = capsys.readouterr().err
    assert "the cluster of beijing cannot run: a cluster needs processors and slots" in said
    assert not (tmp_path / "state").exists()
