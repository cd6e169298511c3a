"""A cluster's folders: whose files are where, and how those of the past go."""

from pathlib import Path

from clusters.embedded.node import Node, NodeSettings
from clusters.embedded.storage.folders import Disk
from clusters.protocol import AttemptId


def fill(disk: Disk, run: str, shard: int, epoch: int = 1) -> list[Path]:
    """A file of each kind."""
    folders = disk.folders(AttemptId(run=run, shard=shard, epoch=epoch), "a")
    files = [folders.workspace / "kept", folders.scratch / "tmp", folders.log]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return files


def test_attempts_of_a_shard_share_its_workspace_only(tmp_path: Path) -> None:
    """The next attempt finds what the last one left, but neither its scratch nor its logs."""
    disk = Disk(tmp_path)
    one, two = (disk.folders(AttemptId(run="r", shard=0, epoch=epoch), "a") for epoch in (1, 2))
    assert one.workspace == two.workspace
    assert one.scratch != two.scratch
    assert one.log != two.log


def test_what_is_discarded_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    """Every kind of file, and a run's folder with its last shard."""
    disk = Disk(tmp_path)
    gone, last, kept = fill(disk, "r1", 0), fill(disk, "r2", 0), fill(disk, "r1", 1)
    assert disk.shards() == {("r1", 0), ("r1", 1), ("r2", 0)}

    disk.discard([("r1", 0), ("r2", 0), ("r3", 0)])
    assert not any(file.exists() for file in (*gone, *last))
    disk.empty()

    assert all(file.exists() for file in kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "scratch", "workspaces"]
    assert disk.shards() == {("r1", 1)}
    assert not (tmp_path / "logs" / "r2").exists()


async def test_a_cluster_removes_files_that_its_journal_does_not_know(tmp_path: Path) -> None:
    """A crash between the journal and the disk must not leave them for ever."""
    files = fill(Disk(tmp_path), "old", 0)
    async with Node(NodeSettings(region="r", state=str(tmp_path))) as node:
        await node.swept.wait()
    assert not any(file.exists() for file in files)
    assert not (tmp_path / "trash").exists()
