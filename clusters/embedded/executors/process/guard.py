"""The guard of an exclusive try, as its executor sees it: a process that ends the command before the lease ends, whoever else is late."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Self

from clusters.embedded.executors.interface import Lease
from clusters.embedded.executors.process.watchdog_client import PROGRAM


class Guard:
    """To be entered before the guard is started with `command` and `far` as its standard input.

    `started` gets the process group of the command when it runs; it is `group` from then on. `over`: the guard has ended it, since its
    lease had. `code`: the command has ended by itself, so.
    """

    def __init__(self, lease: Lease, started: Callable[[int], None]) -> None:
        self._lease, self._started = lease, started
        self._rest = b""
        self.group: int | None = None
        self.code: int | None = None
        self.over = False

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._near, self.far = socket.socketpair()
        self._near.setblocking(False)
        self._loop.add_reader(self._near, self.hear)
        self._renewals = asyncio.create_task(self._pass_on(), name="renewals")
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._loop.remove_reader(self._near)
        self.far.close()
        self._near.close()

    def command(self, memory_bytes: int, command: Sequence[str]) -> list[str]:
        """What starts the guard of `command`. 0 bytes: any."""
        return [*PROGRAM, "lease", repr(self._lease.expires_at), str(memory_bytes), *command]

    def let_go(self) -> None:
        """Whatever runs under it is ended, and then the guard ends too. What it still tells is heard."""
        self._renewals.cancel()
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_WR)

    def hear(self) -> None:
        """Takes in what the guard has told by now."""
        while True:
            try:
                news = self._near.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                news = b""
            if not news:
                self._loop.remove_reader(self._near)
                return
            *lines, self._rest = (self._rest + news).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"+"):
            self.group = int(line[1:])
            self._started(self.group)
        elif line.startswith(b"="):
            self.code = int(line[1:])
        else:
            self.over = True

    async def _pass_on(self) -> None:
        """Tells the guard of each renewal."""
        while True:
            await self._lease.wait_for_renewal()
            with contextlib.suppress(OSError):
                self._near.send(f"{self._lease.expires_at!r}\n".encode())
