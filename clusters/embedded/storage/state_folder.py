"""The layout of a cluster's state folder, and the removal of files of shards that it no longer holds."""

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from clusters.protocol import AttemptId

KINDS = ("workspaces", "scratch", "logs")


class TaskFolders(Struct, frozen=True, kw_only=True):
    """The paths of one try of a task: its two folders and its log file."""

    workspace: Path
    """Folder of the shard, shared by its tasks and attempts; stays when the try has ended."""
    scratch: Path
    """Folder of the attempt, for temporary files, and for the inputs and outputs of its tasks."""
    log: Path
    """File that the task's tries append to."""


class StateFolder:
    """The files of one cluster: `KIND/RUN/SHARD` below `root` for each kind of `KINDS`, and a trash folder.

    Scratch folders and logs have one more level, the epoch; an attempt does not see those of the one before.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.workspaces = self._root / "workspaces"
        self._trash = self._root / "trash"

    def task_folders(self, attempt: AttemptId, task: str) -> TaskFolders:
        """The paths for a try of `task`. Creates neither folders nor file."""
        workspaces, scratch, logs = (self._root / kind / attempt.run / str(attempt.shard) for kind in KINDS)
        epoch = str(attempt.epoch)
        return TaskFolders(workspace=workspaces, scratch=scratch / epoch, log=logs / epoch / f"{task}.log")

    def shards_on_disk(self) -> set[tuple[str, int]]:
        """The (run, shard) pairs that have files of any kind. Blocks while it reads the disk."""
        found = (path for kind in KINDS for path in self._root.glob(f"{kind}/*/*"))
        return {(path.parent.name, int(path.name)) for path in found if path.name.isdecimal()}

    def move_to_trash(self, shards: Iterable[tuple[str, int]]) -> None:
        """Moves the files of `shards` to the trash folder; removes the folders of runs that are then empty.

        A rename takes effect at once, however many files there are: a shard that is created again under the
        same name starts with an empty workspace. Raises `OSError`.
        """
        self._trash.mkdir(exist_ok=True)
        for run, shard in shards:
            for kind in KINDS:
                folder = self._root / kind / run
                if (folder / str(shard)).exists():
                    (folder / str(shard)).rename(self._trash / uuid.uuid4().hex)
                if folder.exists() and not any(folder.iterdir()):
                    folder.rmdir()

    def empty_trash(self) -> None:
        """Deletes the trash folder: files moved there by this process or an earlier one. Ignores errors.

        Blocks until the files are deleted.
        """
        shutil.rmtree(self._trash, ignore_errors=True)
