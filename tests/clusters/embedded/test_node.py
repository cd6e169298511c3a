"""A node by itself: its settings, and a clean stop."""

from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode, ClusterNodeSettings
from tests.clusters.embedded.working_node import SHARD, process, start


@pytest.mark.parametrize(
    ("cpu", "slots"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0), (1.0, -5)]
)
def test_a_cluster_without_processors_or_slots_does_not_start(cpu: float, slots: int) -> None:
    """It would take work and never do it."""
    with pytest.raises(ValueError, match="needs processors and slots"):
        ClusterNodeSettings(region="beijing", state="state", cpu=cpu, slots=slots)


async def test_a_clean_stop_starts_nothing(tmp_path: Path) -> None:
    """Tries that it kills free processors: what waits for them would be started, and killed at once."""
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=1.0)) as node:
        await start(node, process("a", "sleep", "300"), process("b", "touch", str(tmp_path / "b")))
    assert not (tmp_path / "b").exists()
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=1.0)) as node:
        assert (await node.attempts()).attempts == ((SHARD, False),)
