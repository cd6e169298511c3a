"""Starts the process of a task's execution: the command itself, or a wrapper that sets its limits."""

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.memory_limit import (
    check_program,
    environment_block,
    limited_command,
)
from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN
from clusters.embedded.storage.task_logs import open_regular


def start_process(spec: ProcessSpec, guard: LeaseGuard | None) -> "subprocess.Popen[Any]":
    """Starts a task's command in a new session, or the lease guard process that will start the command.

    Raises `OSError` where the log cannot be opened or the process cannot be started, and `ValueError` where
    the command or the environment holds what no process can be given, such as a NUL character.
    """
    with contextlib.ExitStack() as descriptors:
        log = open_regular(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        descriptors.callback(os.close, log)
        command: Sequence[bytes | str] = spec.command
        inherited, environment = tuple[int, ...](), spec.environment
        if guard is not None:
            # Only the guard may hold this end: else the exit of the guard would not close the connection.
            descriptors.callback(guard.guard_end.close)
            handed = _environment_file(spec)
            descriptors.callback(os.close, handed)
            command = guard.command_line(spec.memory_bytes, handed, spec.command)
            inherited, environment = (handed,), spec.wrapper_environment
        elif spec.memory_bytes:
            command, environment = limited_command(spec), spec.wrapper_environment
            check_program(spec)
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if guard is None else guard.guard_end.fileno(),
            stdout=log,
            stderr=log,
            cwd=spec.directory,
            env=environment,
            pass_fds=inherited,
            start_new_session=True,
        )
    AWAITED_CHILDREN.add(child.pid)
    return child


def _environment_file(spec: ProcessSpec) -> int:
    """Writes a command's environment to a file in memory; returns the file's descriptor."""
    descriptor = os.memfd_create("environment")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(b"".join(variable + b"\0" for variable in environment_block(spec)))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
