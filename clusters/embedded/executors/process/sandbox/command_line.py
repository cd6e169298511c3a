"""Builds the command line of bubblewrap (bwrap), which says what the processes of a task see and may do."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from clusters.embedded.executors.process.sandbox.call_filter import FILTER
from clusters.embedded.executors.process.sandbox.etc_view import LIVE

MERGED: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""The folders of the root that hold programs and libraries; most systems have links into /usr instead."""
KERNEL_SETTINGS: Final = ("--ro-bind", "/proc/sys", "/proc/sys")
"""Covers the settings of the kernel.

bubblewrap 0.8 leaves them to tasks that are root, whose they are, and those of the sandbox's own IPC to all
that are in a user namespace.
"""
SETUID: Final = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


class Sandbox(Struct, frozen=True, kw_only=True):
    """What all sandboxes of a cluster have in common: programs, folders, network."""

    program: str
    """The path of bubblewrap."""
    etc: str
    """The folder that tasks see as `/etc`."""
    setpriv: str = ""
    """The path of setpriv(1), by which tasks of root's cluster become another user; empty: they do not."""
    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """The folders that no task sees, although they lie in a folder that it is shown: those of the cluster."""
    network: bool = True
    tmp_bytes: int = 256 << 20
    """The most bytes of `/tmp`, and of `/dev/shm`: both are in memory."""

    def shows(self, program: Path, workspace: Path) -> bool:
        """Returns whether a task sees `program`, a file of this machine, in its sandbox."""
        roots = ("/usr", *(f"/{name}" for name in MERGED), *self.read_only, *self.writable, str(workspace))
        return all(any(path.is_relative_to(root) for root in roots) for path in (program, program.resolve()))

    def command_line(
        self, *, own: Sequence[Path], user: int | None, status: int, calls: int, inner: Sequence[str]
    ) -> list[str]:
        """Returns the command line that runs `inner` in a new sandbox.

        `own` are the folders that the task alone may change. `user` is the id of the user and group that it
        becomes, None for the cluster's own. bubblewrap writes about the sandbox to the open file `status`,
        and reads the filter of system calls from `calls`, unless this machine has none.
        `inner` starts in `/`: before it is that user, bubblewrap may not enter the user's folders.
        """
        words = [self.program, *self._shared_words()]
        # bubblewrap itself would make the folders above for the cluster's user alone.
        for above in sorted({above for folder in own for above in folder.parents} - {Path("/")}):
            words += ["--perms", "0755", "--dir", str(above)]
        for folder in own:
            words += ["--bind", str(folder), str(folder)]
        words += ["--remount-ro", "/", "--chdir", "/", "--json-status-fd", str(status)]
        words += ["--seccomp", str(calls)] if FILTER else []
        # For root alone: others have none to drop.
        words += ["--cap-drop", "ALL"] if os.geteuid() == 0 else []
        if user is None:
            return [*words, *KERNEL_SETTINGS, "--unshare-user", "--", *inner]
        become = ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
        without = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        return [*words, *SETUID, "--", self.setpriv, *become, *without, "--", *inner]

    def _shared_words(self) -> Iterator[str]:
        """Yields the arguments that all sandboxes of the cluster have in common, in their order.

        A later mount covers an earlier one.
        """
        yield from ("--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent")
        # The command gets a process group apart from that of bubblewrap, which SIGTERM would end at once.
        yield "--new-session"
        if not self.network:
            yield "--unshare-net"
        yield from ("--ro-bind", "/usr", "/usr")
        yield from _merged_folders()
        yield from ("--ro-bind", self.etc, "/etc")
        for name in LIVE:
            yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        yield from ("--proc", "/proc", "--dev", "/dev")
        for folder in ("/tmp", "/dev/shm"):  # noqa: S108  # the sandbox's own
            yield from ("--perms", "1777", "--size", str(self.tmp_bytes), "--tmpfs", folder)
        yield from ("--remount-ro", "/dev")
        for folder in self.read_only:
            yield from ("--ro-bind-try", folder, folder)
        for folder in self.writable:
            yield from ("--bind", folder, folder)
        shown = ("/usr", *self.read_only, *self.writable)
        for folder in self.hidden:
            if os.path.isdir(folder) and any(Path(folder).is_relative_to(root) for root in shown):
                yield from ("--tmpfs", folder)


def _merged_folders() -> Iterator[str]:
    for name in MERGED:
        path = f"/{name}"
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
