"""The sandbox of one try: what of it belongs to the try alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from clusters.embedded.executors.process.sandbox.command_line import Sandbox
from clusters.embedded.executors.process.sandbox.init_process import SandboxStatus
from clusters.embedded.executors.process.sandbox.start_script import SHELL, Limits, start_script


class Confinement(Struct, frozen=True, kw_only=True):
    """The sandbox of one try: its folders, user and limits, and the file that bubblewrap writes to."""

    sandbox: Sandbox
    status: SandboxStatus
    workspace: Path
    scratch: Path
    secrets: tuple[Path, ...] = ()
    """The folder of its secrets that are files, if it has any."""
    user: int | None
    limits: Limits

    def command_line(self, calls: int) -> list[str]:
        """Returns the command line that makes the sandbox, whose shell reads `script` as standard input.

        `calls` is an open file with the filter of system calls.
        """
        return self.sandbox.command_line(
            own=(self.workspace, self.scratch, *self.secrets),
            user=self.user,
            status=self.status.descriptor,
            calls=calls,
            inner=[SHELL],
        )

    def script(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> bytes:
        """Returns the script that becomes the command. Raises `ValueError` if no process can be given it."""
        return start_script(
            command, environment, self.limits, directory=directory, make=directory != self.workspace
        )
