"""The layout of a cluster's state folder (workspaces, scratch folders, logs, trash), and its clean-up."""

import contextlib
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from clusters.embedded.storage.disk_usage import free_space_on
from clusters.embedded.storage.removal import move_aside, remove_tree
from clusters.protocol import AttemptId

KINDS = ("workspaces", "scratch", "logs")


class TaskFolders(Struct, frozen=True, kw_only=True):
    """The paths of one execution of a task (try): workspace, scratch folder and log file."""

    workspace: Path
    """The folder of the shard, shared by its tasks and attempts; it stays when the try has ended."""
    scratch: Path
    """The folder of the attempt, for temporary files and for the inputs and outputs of its tasks."""
    log: Path
    """The log file that the task's tries append to."""
    secrets: Path
    """The folder of the try's secrets that are files; it exists only while the try runs."""


class StateFolder:
    """The folder of a cluster's files: workspaces, scratch folders and logs of shards, and a trash folder.

    A shard has one folder of each kind (`KINDS`), at KIND/RUN/SHARD. Scratch folders and logs have one more
    level, the epoch: an attempt does not see those of an earlier attempt.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.workspaces = self.root / "workspaces"
        self.secrets = self.root / "secrets"
        self._trash = self.root / "trash"

    def task_folders(self, attempt: AttemptId, task: str) -> TaskFolders:
        """Returns the paths of one execution of `task`, without creating any folder or file."""
        workspaces, scratch, logs = (self.root / kind / attempt.run / str(attempt.shard) for kind in KINDS)
        epoch = str(attempt.epoch)
        return TaskFolders(
            workspace=workspaces,
            scratch=scratch / epoch,
            log=logs / epoch / f"{task}.log",
            secrets=self.secrets / f"{attempt.run}.{attempt.shard}.{epoch}.{task}",
        )

    @property
    def short_of_room(self) -> bool:
        """Returns whether the disk that has this folder has less free space than its reserve."""
        try:
            return free_space_on(self.root).short
        except OSError:
            return False

    def shards_on_disk(self) -> set[tuple[str, int]]:
        """Returns the shards, as (run, shard), that have files of any kind. Blocks while it reads."""
        found = (path for kind in KINDS for path in self.root.glob(f"{kind}/*/*"))
        return {(path.parent.name, int(path.name)) for path in found if path.name.isdecimal()}

    def move_to_trash(self, shards: Iterable[tuple[str, int]]) -> list[OSError]:
        """Moves all files of `shards` to the trash folder; removes the folders of runs that become empty.

        A rename takes effect at once, however many files there are: a shard that is created again under the
        same name starts with an empty workspace. Returns the errors for files that could not be moved.
        """
        return self._move(shards, KINDS)

    def move_data_to_trash(self, shards: Iterable[tuple[str, int]]) -> list[OSError]:
        """Moves the workspaces and scratch folders of `shards` to the trash folder, but not their logs."""
        return self._move(shards, ("workspaces", "scratch"))

    def _move(self, shards: Iterable[tuple[str, int]], kinds: Iterable[str]) -> list[OSError]:
        errors = []
        for (run, shard), kind in itertools.product(shards, kinds):
            folder = self.root / kind / run
            try:
                move_aside(folder / str(shard), self._trash)
                # Most runs have other shards, or none of this kind.
                with contextlib.suppress(FileNotFoundError):
                    if not any(folder.iterdir()):
                        folder.rmdir()
            except OSError as error:
                errors.append(error)
        return errors

    def empty_trash(self, stopped: Callable[[], bool] = lambda: False) -> list[OSError]:
        """Deletes the trash folder with all files in it; returns the errors for those that remain.

        Includes files that an earlier process left there. Blocks meanwhile; ends early when `stopped()`.
        """
        return remove_tree(self._trash, stopped)
