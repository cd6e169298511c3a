"""The executor's connection to a lease guard: a process that kills a command when its run-lease ends.

The guard itself is `watchdog.py lease`, a process between the cluster and the command. It keeps the promise
of the lease even while the cluster is stopped, overloaded or dead. The two talk over a socket pair, which is
the guard's standard input.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Self

from clusters.embedded.executors.interface import Lease
from clusters.embedded.executors.process.watchdog_client import PROGRAM


class LeaseGuard:
    """Talks to one lease guard process: forwards run-lease renewals and reads its reports, within `with`.

    Enter it first, then start the guard with `command_line` and with `guard_end` as its standard input.
    `on_started` is called with the process group of the guarded command as soon as the guard has started the
    command.
    """

    def __init__(self, lease: Lease, on_started: Callable[[int], None]) -> None:
        self._lease, self._on_started = lease, on_started
        self._partial_line = b""
        self.group: int | None = None
        """The process group of the command; None until that runs."""
        self.exit_code: int | None = None
        """The exit code of the command, -N for signal N; None until it has ended by itself."""
        self.start_error: int | None = None
        """The error number with which the command could not be started; None where it was."""
        self.lease_expired = False
        """Whether the guard killed the command, or did not start it, because the lease had expired."""

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._socket, self.guard_end = socket.socketpair()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self.read_reports)
        self._forwarding = asyncio.create_task(self._forward_renewals(), name="renewals")
        return self

    def __exit__(self, *_: object) -> None:
        self.close_input()
        self._loop.remove_reader(self._socket)
        self.guard_end.close()
        self._socket.close()

    def __repr__(self) -> str:
        state = f"group={self.group}, exit_code={self.exit_code}, lease_expired={self.lease_expired}"
        return f"LeaseGuard({state}, start_error={self.start_error}, lease={self._lease!r})"

    def command_line(
        self, memory_bytes: int, descriptors: Sequence[int], command: Sequence[bytes | str]
    ) -> list[bytes | str]:
        """Returns the command line of the guard process that runs `command` under the lease.

        `memory_bytes` is the command's memory limit, 0 for none. `descriptors` are open files for the guard
        to inherit: the environment of the command, its standard input if it has any, and what it inherits.
        """
        numbers = [repr(self._lease.expires_at), str(memory_bytes), ":".join(map(str, descriptors))]
        return [*PROGRAM, "lease", *numbers, *command]

    def close_input(self) -> None:
        """Closes the guard process's standard input, which makes the guard kill its command and exit.

        What the guard reports last can still be read.
        """
        self._forwarding.cancel()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read_reports(self) -> None:
        """Reads and records the reports that the guard process has sent so far, without waiting for more."""
        while True:
            try:
                received = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                received = b""
            if not received:
                # The guard has exited: a socket at its end stays readable, and the loop would call this for
                # ever.
                self._loop.remove_reader(self._socket)
                return
            *lines, self._partial_line = (self._partial_line + received).split(b"\n")
            for line in lines:
                self._apply(line)

    def _apply(self, report: bytes) -> None:
        """Records one report of the lease guard: command (not) started, command ended, or run-lease expired.

        The form of reports is described in `watchdog.py`.
        """
        if report.startswith(b"+"):
            self.group = int(report[1:])
            self._on_started(self.group)
        elif report.startswith(b"="):
            self.exit_code = int(report[1:])
        elif report.startswith(b"-"):
            self.start_error = int(report[1:])
        else:
            self.lease_expired = True

    async def _forward_renewals(self) -> None:
        while True:
            await self._lease.wait_for_renewal()
            # A guard that has exited is noticed by its exit. One that reads so slowly that the socket is full
            # has enough unread renewals before it.
            with contextlib.suppress(OSError):
                self._socket.send(f"{self._lease.expires_at!r}\n".encode())
