"""Where a cluster's shards keep their files, and how those of the past go."""

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from clusters.embedded.executors.interface import Folders
from clusters.protocol import AttemptId

KINDS = ("workspaces", "scratch", "logs")


class Disk:
    """The state folder of one cluster: a folder for each kind, in it one for each run, in it one for each shard."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.workspaces = self._root / "workspaces"
        self._trash = self._root / "trash"

    def folders(self, attempt: AttemptId, task: str) -> Folders:
        """For a try of `task`. Nothing is made yet."""
        workspaces, scratch, logs = (self._root / kind / attempt.run / str(attempt.shard) for kind in KINDS)
        epoch = str(attempt.epoch)
        return Folders(workspace=workspaces, scratch=scratch / epoch, log=logs / epoch / f"{task}.log")

    def shards(self) -> set[tuple[str, int]]:
        """Those that have files. Blocks."""
        found = (path for kind in KINDS for path in self._root.glob(f"{kind}/*/*"))
        return {(path.parent.name, int(path.name)) for path in found if path.name.isdecimal()}

    def discard(self, shards: Iterable[tuple[str, int]]) -> None:
        """Puts their files aside, at once: who comes back under the same name begins with nothing. Raises `OSError`."""
        self._trash.mkdir(exist_ok=True)
        for run, shard in shards:
            for kind in KINDS:
                folder = self._root / kind / run
                if (folder / str(shard)).exists():
                    (folder / str(shard)).rename(self._trash / uuid.uuid4().hex)
                if folder.exists() and not any(folder.iterdir()):
                    folder.rmdir()

    def empty(self) -> None:
        """Deletes what was put aside, also by a process that ended before it did. Blocks."""
        shutil.rmtree(self._trash, ignore_errors=True)
