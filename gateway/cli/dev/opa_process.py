"""Runs an OPA server with one bundle as a child process, on a Unix socket or a port of this machine."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import IO, Final, Self

import httpx

from gateway.cli.errors import CliError, Exit

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.01
"""The pause between two looks at whether it answers: it needs some 60 ms."""
SOCKET_PATH_MAXIMUM: Final = 100
"""Linux takes 107 bytes as the path of a socket."""
ENVIRONMENT: Final = {"GOGC": "400"}
"""All that OPA gets of an environment: any rule may print it (`opa.runtime()`), so no secret may be in it.

Collecting garbage less often saves a quarter of its processor time, for some 15 MB.
"""


class OpaProcess:
    """An OPA server: `async with` starts it and waits until it answers; it is ended by its process id.

    `address` is a path for a Unix socket, or `HOST:PORT`. `log` takes what it prints.
    """

    def __init__(self, program: Path, bundle: Path, address: Path | str, *, log: IO[bytes] | int) -> None:
        self._program, self._bundle, self._address, self._log = program, bundle, address, log
        self.process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<OpaProcess {self.engine}: {self.process}>"

    @property
    def engine(self) -> str:
        """The setting `policy.engine` of a gateway that asks this OPA."""
        scheme = "opa+unix:" if isinstance(self._address, Path) else "opa+http://"
        return f"{scheme}{self._address}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the process, and waits until it answers with the bundle in force. Raises `CliError`."""
        address = str(self._address)
        if isinstance(self._address, Path):
            if len(os.fsencode(address)) > SOCKET_PATH_MAXIMUM:
                raise CliError(f"{address} is too long for a socket", code=Exit.USAGE)
            # One that was killed leaves its socket behind, which the next could not bind.
            self._address.unlink(missing_ok=True)
            address = f"unix://{address}"
        self.process = await asyncio.create_subprocess_exec(
            self._program,
            *("run", "--server", "--addr", address, "--bundle", str(self._bundle)),
            *("--log-level", "error", "--skip-version-check", "--unix-socket-perm", "700"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=ENVIRONMENT,
        )
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._wait_until_ready(self.process)
        except TimeoutError as error:
            await self.stop()
            raise CliError("opa did not start", code=Exit.UNAVAILABLE) from error

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        at = self._address
        transport = httpx.AsyncHTTPTransport(uds=str(at)) if isinstance(at, Path) else None
        url = "http://opa" if transport else f"http://{at}"
        async with httpx.AsyncClient(transport=transport, base_url=url, trust_env=False) as client:
            while process.returncode is None:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/health?bundles")).is_success:
                        return
                await asyncio.sleep(LOOK_SECONDS)
        raise CliError("opa ended before it was ready", code=Exit.UNAVAILABLE)

    def send(self, number: signal.Signals) -> None:
        """Sends the signal `number` to the process, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self) -> None:
        """Ends the process and waits for its end. One that does not end within `STOP_SECONDS` is killed."""
        if self.process is None:
            return
        # A stopped process would not see SIGTERM.
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
                return
        self.send(signal.SIGKILL)
        await self.process.wait()
