"""Tests the state folder: its layout, and how the files of removed shards are deleted."""

from pathlib import Path

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.storage.state_folder import StateFolder
from clusters.protocol import AttemptId


def fill(state_folder: StateFolder, run: str, shard: int, epoch: int = 1) -> list[Path]:
    """Writes a file of each kind for one shard, and returns their paths."""
    folders = state_folder.task_folders(AttemptId(run=run, shard=shard, epoch=epoch), "a")
    files = [folders.workspace / "kept", folders.scratch / "tmp", folders.log]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return files


def test_attempts_of_a_shard_share_its_workspace_only(tmp_path: Path) -> None:
    """The next attempt finds the files of the last one, but not its scratch folder and its logs."""
    state_folder = StateFolder(tmp_path)
    one, two = (state_folder.task_folders(AttemptId(run="r", shard=0, epoch=epoch), "a") for epoch in (1, 2))
    assert one.workspace == two.workspace
    assert one.scratch != two.scratch
    assert one.log != two.log


def test_the_files_of_a_removed_shard_are_deleted_and_the_others_stay(tmp_path: Path) -> None:
    """Every kind of file, and the folder of a run with its last shard."""
    state_folder = StateFolder(tmp_path)
    gone, last, kept = fill(state_folder, "r1", 0), fill(state_folder, "r2", 0), fill(state_folder, "r1", 1)
    assert state_folder.shards_on_disk() == {("r1", 0), ("r1", 1), ("r2", 0)}

    state_folder.move_to_trash([("r1", 0), ("r2", 0), ("r3", 0)])
    assert not any(file.exists() for file in (*gone, *last))
    state_folder.empty_trash()

    assert all(file.exists() for file in kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "scratch", "workspaces"]
    assert state_folder.shards_on_disk() == {("r1", 1)}
    assert not (tmp_path / "logs" / "r2").exists()


async def test_a_cluster_removes_files_that_its_journal_does_not_know(tmp_path: Path) -> None:
    """A crash between the journal's commit and their deletion must not leave them for ever."""
    files = fill(StateFolder(tmp_path), "old", 0)
    async with ClusterNode(ClusterNodeSettings(region="r", state=str(tmp_path))) as node:
        await node.garbage_collector.collected.wait()
    assert not any(file.exists() for file in files)
    assert not (tmp_path / "trash").exists()
