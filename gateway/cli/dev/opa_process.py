"""Runs an OPA server as a child process, on a Unix socket or a port of this machine."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final, Self

import httpx

from gateway.cli.dev.log_errors import why_no_start
from gateway.cli.errors import CliError, Exit
from waypost.files.permissions import open_private

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.01
"""The pause in seconds between two checks whether OPA answers; it needs some 60 ms to start."""
SOCKET_PATH_MAXIMUM: Final = 100
"""The maximum length of a socket's path in bytes; Linux allows 107."""
ENVIRONMENT: Final = {"GOGC": "400"}
"""The whole environment of OPA: rules can print it (`opa.runtime()`), so it has no secret.

Collecting garbage less often saves a quarter of its processor time, for some 15 MB.
"""


class OpaProcess:
    """An OPA server as a child process: `async with` starts it, waits until it answers, and ends it.

    `address` is a path for a Unix socket, or `HOST:PORT`. The server holds the bundle at `bundle`, or fetches
    one as its configuration file `config` says. What it prints goes to the file `log`.
    """

    def __init__(
        self,
        program: Path,
        bundle: Path | None,
        address: Path | str,
        *,
        log: Path,
        config: Path | None = None,
    ) -> None:
        self._program, self._bundle, self._address, self._log = program, bundle, address, log
        self._config, self._logged = config, 0
        self.process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<OpaProcess {self.engine}: {self.process}>"

    @property
    def engine(self) -> str:
        """The value of the gateway's setting `policy.engine` that selects this OPA."""
        scheme = "opa+unix:" if isinstance(self._address, Path) else "opa+http://"
        return f"{scheme}{self._address}"

    def command(self) -> list[str]:
        """Returns the words of the shell command that starts this OPA by hand."""
        address = f"unix://{self._address}" if isinstance(self._address, Path) else self._address
        sources = {"--bundle": self._bundle, "--config-file": self._config}
        return [
            *(str(self._program), "run", "--server", "--addr", address),
            *(str(word) for option, path in sources.items() if path for word in (option, path)),
            *("--log-level", "error", "--skip-version-check", "--unix-socket-perm", "700"),
            # What it logged and can send to nobody, it would try to send for ten seconds.
            *("--shutdown-grace-period", "1"),
        ]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> asyncio.subprocess.Process:
        """Starts the OPA process, and waits until it answers with its bundle loaded.

        Raises `CliError` if OPA ends or is not ready within `READY_SECONDS`, or if its socket's path is too
        long.
        """
        if isinstance(self._address, Path) and len(os.fsencode(self._address)) > SOCKET_PATH_MAXIMUM:
            raise CliError(f"{self._address} is too long for a socket", code=Exit.USAGE)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_private(str(self._log), flags), "ab") as log:
            self._logged = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=ENVIRONMENT,
            )
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._wait_until_ready(self.process)
        except TimeoutError as error:
            await self.stop()
            raise self._no_start("opa did not start") from error
        return self.process

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
        raise self._no_start("opa ended before it was ready")

    def _no_start(self, why: str) -> CliError:
        return CliError(why, lines=why_no_start(self._log, since=self._logged), code=Exit.UNAVAILABLE)

    def send(self, number: signal.Signals) -> None:
        """Sends the signal `number` to the OPA process, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self) -> None:
        """Ends the OPA process and waits for its end; kills it after `STOP_SECONDS`."""
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
