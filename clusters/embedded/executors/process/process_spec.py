"""Describes the process of a task's execution: command, working directory, environment, memory limit."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from clusters.embedded.scheduling.launch import Launch
from clusters.embedded.secrets.masked_log import MaskedLog
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.files.permissions import make_private_folder
from waypost.workflow.run_types import ProcessRun, argument_text
from waypost.workflow.stages import name_in_gateway, shard_name

IDENTITY: Final = (
    "WAYPOST_WORKSPACE",
    "WAYPOST_RUN",
    "WAYPOST_SHARD",
    "WAYPOST_EPOCH",
    "WAYPOST_TASK",
    "WAYPOST_TRY",
)
"""The environment variables that together identify the processes of one try among all others."""
MACHINE_FAULTS: Final = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
    }
)
"""The error numbers that mean a fault of this machine, not of the task.

Another cluster may be able to run the task.
"""


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """The description of a process to start: command, directory, environment, log, memory limit."""

    command: Sequence[str]
    directory: Path
    environment: dict[str, str]
    log: Path
    """The file to which the process's standard output and standard error are appended."""
    memory_bytes: int = 0
    """The limit of the process's data segment (RLIMIT_DATA) in bytes; 0 for no limit."""

    secret_names: frozenset[str] = frozenset()
    """The variables that are secrets: they must not stand in a command line, which everybody may read."""
    masked_log: MaskedLog | None = None
    """What takes the output, and writes it to the log with secrets masked; None for a task without any."""

    @property
    def workspace(self) -> Path:
        """Returns the workspace of the shard that the process belongs to."""
        return Path(self.environment["WAYPOST_WORKSPACE"])

    @property
    def wrapper_environment(self) -> dict[str, str]:
        """Returns the environment of the program that starts the command: PATH and the `IDENTITY` variables.

        The variables of a document's `env` (LD_PRELOAD, GLIBC_TUNABLES) are left out, since they would act on
        the wrapper before it has set the task's limits.
        """
        return {"PATH": os.defpath, **{name: self.environment[name] for name in IDENTITY}}

    @property
    def secret_variables(self) -> dict[str, str]:
        """Returns the variables of the environment that are secrets, with their values."""
        return {name: self.environment[name] for name in self.secret_names}

    @property
    def identity(self) -> frozenset[bytes]:
        """Returns the variables (`IDENTITY`) that identify the task's execution, each as `NAME=value`."""
        return frozenset(os.fsencode(f"{name}={self.environment[name]}") for name in IDENTITY)


def process_spec(
    launch: Launch,
    run: ProcessRun,
    folders: TaskFolders,
    *,
    region: str,
    input_file: Path,
    output_file: Path,
    make_directory: bool,
) -> ProcessSpec:
    """Builds the description of the process for one execution of a task.

    Makes its working directory if `make_directory`: in a sandbox that is made inside, by the task's user.
    Raises `ValueError` where the workspace can have no such directory, and `OSError` where this machine fails
    to make it, such as for lack of space.
    """
    run_id, shard = name_in_gateway(launch.attempt.run, launch.attempt.shard)
    environment = {
        "PATH": os.defpath + ":/usr/local/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folders.workspace),
        "TMPDIR": str(folders.scratch),
        # A document may have reasons for a trace of its own; then our `tracestate` is not of it.
        **(launch.span.environment if launch.span is not None and "TRACEPARENT" not in run.env else {}),
        **{name: argument_text(value) for name, value in run.env.items()},
        **{name: os.fsdecode(value) for name, value in launch.secrets.environment.items()},
        **({"WAYPOST_SECRETS": str(folders.secrets)} if launch.secrets.files else {}),
        "WAYPOST_INPUT": str(input_file),
        "WAYPOST_OUTPUT": str(output_file),
        "WAYPOST_WORKSPACE": str(folders.workspace),
        "WAYPOST_REGION": region,
        "WAYPOST_RUN": run_id,
        "WAYPOST_SHARD": shard_name(shard),
        "WAYPOST_EPOCH": str(launch.attempt.epoch),
        "WAYPOST_TASK": launch.task.name,
        "WAYPOST_TRY": str(launch.tries),
    }
    return ProcessSpec(
        command=[argument_text(word) for word in run.command],
        directory=_working_directory(folders.workspace, run.working_directory, make=make_directory),
        environment=environment,
        log=folders.log,
        memory_bytes=(launch.task.resources.memory_mib or 0) << 20,
        secret_names=frozenset(launch.secrets.environment),
    )


def _working_directory(workspace: Path, relative: str | None, *, make: bool) -> Path:
    """Returns the resolved path of a task's working directory, which it makes if `make`.

    Raises `ValueError` for a directory that lies outside the workspace, or cannot be made because of what is
    in its place; `OSError` for a fault of this machine (`MACHINE_FAULTS`).
    """
    try:
        directory = (workspace / (relative or ".")).resolve()
        if not directory.is_relative_to(workspace.resolve()):
            raise ValueError("workingDirectory leads out of the workspace")
        if make:
            make_private_folder(directory)
        elif any(part.exists() and not part.is_dir() for part in (directory, *directory.parents)):
            raise NotADirectoryError(errno.EEXIST, os.strerror(errno.EEXIST))
    except RuntimeError:  # `Path.resolve` (Python 3.11) for a loop of links
        raise ValueError("workingDirectory is a link that leads to itself") from None
    except OSError as error:
        if error.errno in MACHINE_FAULTS:
            raise
        raise ValueError(
            f"workingDirectory: {'it is no folder' if error.errno == errno.EEXIST else error.strerror}"
        ) from None
    return directory
