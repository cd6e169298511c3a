"""Tests the metric of free disk space: the scarcer of bytes and files counts."""

import math
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from observability.disk_room import free_share, show_disk
from observability.metrics import Metrics


@pytest.mark.parametrize(
    ("blocks", "files", "share"),
    [
        ((50, 100), (90, 100), 0.5),
        ((50, 100), (5, 100), 0.05),
        ((50, 100), (0, 0), 0.5),
        ((0, 100), (1, 1), 0),
    ],
)
def test_what_is_scarcer_counts(
    monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int], files: tuple[int, int], share: float
) -> None:
    """A file system without a bound on files says 0 of 0."""
    disk = SimpleNamespace(f_bavail=blocks[0], f_blocks=blocks[1], f_favail=files[0], f_files=files[1])
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    assert free_share(Path()) == share


def test_a_folder_that_is_gone_is_not_a_full_disk(tmp_path: Path) -> None:
    metrics = Metrics()
    show_disk(metrics.disk_free, tmp_path / "gone")
    shown = metrics.registry.get_sample_value("waypost_disk_free_ratio")
    assert shown is not None and math.isnan(shown)
    show_disk(metrics.disk_free, tmp_path)
    assert 0 < (metrics.registry.get_sample_value("waypost_disk_free_ratio") or 0) <= 1
