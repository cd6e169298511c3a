"""Starts the process of a try: its command, or what makes its sandbox or sets its limits first."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct

from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.memory_limit import environment_block, limited_command
from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.executors.process.program_check import check_program
from clusters.embedded.executors.process.sandbox.call_filter import FILTER
from clusters.embedded.executors.process.sandbox.confinement import Confinement
from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN
from clusters.embedded.storage.regular_files import open_regular


class Program(Struct, frozen=True, kw_only=True):
    """What is executed: a command line with its environment, directory and open files."""

    command: Sequence[bytes | str]
    environment: dict[str, str]
    directory: Path
    stdin: int = subprocess.DEVNULL
    inherited: tuple[int, ...] = ()
    memory_bytes: int = 0
    """The limit of memory that is still to be set."""


def start_process(
    spec: ProcessSpec, guard: LeaseGuard | None, confinement: Confinement | None
) -> "subprocess.Popen[Any]":
    """Starts a task's command in a new session, or the lease guard process that will start the command.

    With `confinement` the command runs in that sandbox. Raises `OSError` where the log cannot be opened or
    the process cannot be started, and `ValueError` where the command or the environment holds what no process
    can be given, such as a NUL character.
    """
    with ExitStack() as descriptors:
        if spec.masked_log is None:
            log = open_regular(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        else:
            # Only processes of the try may hold this end: the log ends with them.
            log = spec.masked_log.take_writer()
        descriptors.callback(os.close, log)
        if confinement is None:
            program = Program(
                command=spec.command,
                environment=spec.environment,
                directory=spec.directory,
                memory_bytes=spec.memory_bytes,
            )
        else:
            program = _confined(spec, confinement, descriptors)
        if guard is not None:
            program = _guarded(program, spec, guard, descriptors)
        elif program.memory_bytes:
            program = Program(
                command=limited_command(spec),
                environment=spec.wrapper_environment | spec.secret_variables,
                directory=spec.directory,
            )
            check_program(spec)
        child = subprocess.Popen(
            program.command,
            stdin=program.stdin,
            stdout=log,
            stderr=log,
            cwd=program.directory,
            env=program.environment,
            pass_fds=program.inherited,
            start_new_session=True,
        )
    AWAITED_CHILDREN.add(child.pid)
    return child


def _confined(spec: ProcessSpec, confinement: Confinement, descriptors: ExitStack) -> Program:
    """Returns the program that makes a sandbox, in which the limits are set and the command is run."""
    check_program(spec, confinement)
    script = _file_in_memory(confinement.script(spec.command, spec.environment, spec.directory), descriptors)
    calls = _file_in_memory(FILTER, descriptors)
    return Program(
        command=confinement.command_line(calls),
        environment=spec.wrapper_environment,
        # Only inside may a folder be used that a task has made.
        directory=Path("/"),
        stdin=script,
        inherited=(confinement.status.descriptor, calls),
    )


def _guarded(program: Program, spec: ProcessSpec, guard: LeaseGuard, descriptors: ExitStack) -> Program:
    """Returns the lease guard, which starts `program`."""
    # Only the guard may hold this end: else the exit of the guard would not close the connection.
    descriptors.callback(guard.guard_end.close)
    block = b"".join(variable + b"\0" for variable in environment_block(program.environment))
    kept = (_file_in_memory(block, descriptors), *((program.stdin,) if program.stdin >= 0 else ()))
    kept += program.inherited
    return Program(
        command=guard.command_line(program.memory_bytes, kept, program.command),
        environment=spec.wrapper_environment,
        directory=program.directory,
        stdin=guard.guard_end.fileno(),
        inherited=kept,
    )


def _file_in_memory(content: bytes, descriptors: ExitStack) -> int:
    """Writes `content` to a file in memory; returns its descriptor, which stands at the file's beginning."""
    descriptor = os.memfd_create("waypost")
    descriptors.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
