"""Checks that the program of a task exists, can be executed, and is seen in the task's sandbox."""

import errno
import os
import shutil

from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.executors.process.sandbox.confinement import Confinement


def check_program(spec: ProcessSpec, confinement: Confinement | None = None) -> None:
    """Checks that the program of `spec` exists and is executable.

    Raises the `OSError` that starting the program directly would raise: ENOENT or EACCES; and `ValueError`
    for a program that a sandbox does not show. Without this check the shell that sets the limits would start,
    and could only exit with 126 or 127.
    """
    name = spec.command[0]
    folders = [""] if "/" in name else spec.environment["PATH"].split(":")
    candidates = [spec.directory / folder / name for folder in folders]
    found = [path for path in candidates if shutil.which(path)]
    if not found:
        number = errno.EACCES if any(path.exists() for path in candidates) else errno.ENOENT
        raise OSError(number, os.strerror(number))
    if confinement is not None and not any(
        confinement.sandbox.shows(path, confinement.workspace) for path in found
    ):
        raise ValueError(
            f"{found[0]} is not in its sandbox, which shows /usr and the folders that the cluster's setting"
            " executor.process.read_only names"
        )
