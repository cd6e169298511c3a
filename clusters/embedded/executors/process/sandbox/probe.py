"""Finds out whether this machine can make the sandbox of a cluster, by making one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clusters.embedded.executors.process.sandbox.call_filter import FILTER
from clusters.embedded.executors.process.sandbox.command_line import Sandbox
from clusters.embedded.executors.process.sandbox.etc_view import make_etc_view
from clusters.embedded.executors.process.sandbox.start_script import SHELL, Limits, start_script
from clusters.embedded.executors.process.settings import ProcessSettings

ETC_VIEW = ".etc"
PROBE_SECONDS = 10.0
PATHS = os.defpath + ":/usr/local/bin"


def make_sandbox(settings: ProcessSettings, workspaces: Path, hidden: Sequence[str]) -> Sandbox | str:
    """Returns the sandbox that this machine can make, or a sentence that says why it can make none.

    The folder that tasks see as `/etc` is made in `workspaces`, under a name that no run can have.
    Blocks for some milliseconds, `PROBE_SECONDS` at most.
    """
    if sys.platform != "linux":
        return f"there are no sandboxes on {sys.platform}"
    if (program := shutil.which("bwrap", path=PATHS)) is None:
        return "bubblewrap (bwrap) is not installed"
    drops = settings.own_user and os.geteuid() == 0
    setpriv = (shutil.which("setpriv", path=PATHS) or "") if drops else ""
    if drops and not setpriv:
        return "setpriv (util-linux) is not installed"
    etc = workspaces / ETC_VIEW
    try:
        make_etc_view(etc)
    except OSError as error:
        return f"{etc} cannot be written: {error.strerror}"
    sandbox = Sandbox(
        etc=str(etc),
        program=program,
        setpriv=setpriv,
        read_only=settings.read_only,
        writable=settings.writable,
        hidden=tuple(hidden),
        network=settings.network,
        tmp_bytes=settings.tmp_mib << 20,
    )
    why = _fault(sandbox)
    return f"bubblewrap cannot make one: {why}" if why else sandbox


def why_unavailable(settings: ProcessSettings, workspaces: Path, hidden: Sequence[str]) -> str:
    """Returns why this machine cannot run tasks as the settings want it; empty if it can. Blocks."""
    if settings.isolation != "sandbox":
        return ""
    found = make_sandbox(settings, workspaces, hidden)
    return found if isinstance(found, str) else ""


def _fault(sandbox: Sandbox) -> str:
    """Makes one sandbox that runs a command under limits; returns what goes wrong, empty if nothing does."""
    script = start_script(["true"], {"PATH": PATHS}, Limits(processes=100, file_bytes=1 << 20))
    user = 65_534 if sandbox.setpriv else None
    files = status, feed, calls = tuple(map(os.memfd_create, ("status", "script", "calls")))
    try:
        for file, content in ((feed, script), (calls, FILTER)):
            os.write(file, content)
            os.lseek(file, 0, os.SEEK_SET)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                sandbox.command_line(
                    own=[Path(folder)], user=user, status=status, calls=calls, inner=[SHELL]
                ),
                stdin=feed,
                capture_output=True,
                timeout=PROBE_SECONDS,
                env={"PATH": PATHS},
                pass_fds=[status, calls],
                check=False,
            )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    finally:
        for file in files:
            os.close(file)
    said = done.stderr.decode(errors="replace").strip()
    return "" if done.returncode == 0 else said or f"exit code {done.returncode}"
