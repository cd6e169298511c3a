"""Decides the outcome of a task's execution whose command did not succeed, and its reason."""

import os

from msgspec import structs

from clusters.embedded.executors.process.child_exit import signal_name
from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.memory_limit import last_line, log_tail, memory_reason
from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.executors.process.sandbox.confinement import Confinement
from clusters.embedded.executors.process.sandbox.init_process import exit_code_inside
from clusters.embedded.executors.process.sandbox.limit_reasons import limit_reached
from clusters.embedded.scheduling.launch import Outcome


def outcome_of_failure(
    exit_code: int,
    guard: LeaseGuard | None,
    confinement: Confinement | None,
    spec: ProcessSpec,
    log_begin: int,
) -> Outcome | None:
    """Returns the outcome of a command that did not succeed; None for one that did.

    `exit_code` is that of the process that the cluster started, `log_begin` where the log of the try began.
    Raises `OSError` with the error with which the guard could not start the command.
    """
    if guard is not None and guard.start_error is not None:
        raise OSError(guard.start_error, os.strerror(guard.start_error))
    # No failure of the task: another attempt may run it.
    if guard is not None and guard.lease_expired:
        return Outcome(succeeded=False, killed=True, reason="its lease has ended")
    # A guard that was killed itself has not reported: then its own exit code says what happened.
    if guard is not None and guard.exit_code is not None:
        exit_code = guard.exit_code
    if confinement is not None and exit_code >= 0:
        if not confinement.status.command_ended:
            # A fault of the machine, not of the task: another cluster may make one.
            reason = f"its sandbox could not be made: {last_line(spec.log, log_begin)}"
            return Outcome(succeeded=False, lost=True, reason=reason)
        exit_code = exit_code_inside(exit_code)
    return None if exit_code == 0 else _failure(exit_code, confinement, spec, log_begin)


def _failure(exit_code: int, confinement: Confinement | None, spec: ProcessSpec, log_begin: int) -> Outcome:
    """Builds the outcome of a command that failed; `log_begin` is where its log began, in bytes."""
    killed_by = signal_name(-exit_code) if exit_code < 0 else ""
    reason = f"killed by {killed_by}" if killed_by else f"exit code {exit_code}"
    # An exit code alone does not say that memory ran out.
    if spec.memory_bytes:
        reason = memory_reason(spec, reason, log_begin)
    if confinement is not None:
        written = log_tail(spec.log, log_begin)
        limits = confinement.limits
        if spec.memory_bytes:
            # The document's own limit was named already.
            limits = structs.replace(limits, memory_bytes=0)
        limit = limit_reached(exit_code, limits, written)
        reason = f"{reason}; {limit}" if limit else reason
    return Outcome(succeeded=False, reason=reason, exit_code=exit_code if exit_code >= 0 else 128 - exit_code)
