"""Runs a gateway and its regions as processes on one machine, with simulated network delay to each region."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from msgspec import json as msgspec_json

from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE
from gateway.cli.context import CONTEXT_PATH, DEVELOPMENT, Context
from gateway.cli.dev.faulty_proxy import Proxy
from gateway.cli.dev.log_errors import why_no_start
from gateway.cli.dev.opa_process import ENVIRONMENT
from gateway.cli.dev.region_folders import REGIONS
from gateway.cli.dev.sandbox_options import sandbox_options, storage_options
from gateway.cli.dev.stack_certificates import issue_certificates
from gateway.cli.dev.stack_opa import DATABASE, RULES, StackOpa
from gateway.cli.errors import CliError, Exit
from gateway.submission.audit_sealing import make_audit_key
from waypost.files.permissions import make_private_folder, narrow, open_private, write_private

PKI: Final = "certificates"
"""The name of the certificates' folder in a stack's folder. Its contents are made at each start."""
AUDIT_KEY = "audit.pem"
READY_SECONDS = 30.0
STOP_SECONDS = 10.0

ROUND_TRIPS: Mapping[str, float] = {"beijing": 0.006, "shanghai": 0.028, "shenzhen": 0.040}
"""The simulated round trips in seconds, by region, between a gateway in Beijing and three cities."""


class Stack:
    """A gateway and its regions as child processes: `async with` starts them, and at its end stops them.

    Regions are not restarted when they die: the stack is there to show what happens then. `processes` and
    `ready` (the decoded line of JSON that each prints) are by name: `gateway`, or that of a region. If `opa`
    is given, that program decides policy. `shared` are folders that tasks may change in their sandboxes,
    `executors` settings of the clusters' executors, `storages` of their storages.
    """

    def __init__(
        self,
        state: Path,
        regions: Sequence[str],
        *,
        round_trips: Mapping[str, float] = ROUND_TRIPS,
        cpu: float = 8.0,
        queue_policy: QueuePolicy = DEFAULT_QUEUE.policy,
        port: int = 0,
        metrics_port: int = 0,
        settings: Mapping[str, str] | None = None,
        opa: Path | None = None,
        secrets: Path | None = None,
        shared: Sequence[Path] = (),
        executors: Mapping[str, Mapping[str, str]] | None = None,
        storages: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.state, self.regions = state.resolve(), tuple(regions)
        self.proxies: dict[str, Proxy] = {}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.ready: dict[str, dict[str, Any]] = {}
        self._queue_policy = queue_policy
        self._round_trips, self._cpu, self._settings = round_trips, cpu, dict(settings or {})
        self._opa_program, self._secrets, self._shared = opa, secrets, tuple(shared)
        self._executors, self._storages = executors or {}, storage_options(storages or {})
        self.opa: StackOpa | None = None
        self._ports, self._exits = {"port": port, "metrics_port": metrics_port}, AsyncExitStack()

    def __repr__(self) -> str:
        running = [name for name, process in self.processes.items() if process.returncode is None]
        return f"<Stack in {self.state}, running: {', '.join(running) or 'nothing'}>"

    @property
    def configuration(self) -> Path:
        """The path of the settings file of the stack's gateway."""
        return self.state / "gateway.toml"

    @property
    def url(self) -> str:
        """The URL of the API of the stack's gateway."""
        return f"http://127.0.0.1:{self.ready['gateway']['port']}"

    @property
    def metrics_url(self) -> str:
        """The URL of the internal port of the stack's gateway, with health and metrics."""
        return f"http://127.0.0.1:{self.ready['gateway']['metrics_port']}"

    async def __aenter__(self) -> Self:
        make_private_folder(self.state / "logs")
        for name in ("logs", PKI, REGIONS):
            narrow(self.state / name)
        async with AsyncExitStack() as exits:
            exits.push_async_callback(self._stop_all)
            issue_certificates(self.state / PKI, {name: self._certificates(name) for name in self.regions})
            # All are waited for, also where one fails: one that started after `_stop_all` would not be ended.
            failures = await asyncio.gather(
                *(self.start_region(region) for region in self.regions), return_exceptions=True
            )
            for failure in failures:
                if failure is not None:
                    raise failure
            for region in self.regions:
                proxy = Proxy(target_host="127.0.0.1", target_port=self.ready[region]["port"])
                proxy.delay_seconds = self._round_trips.get(region, 0.0) / 2
                self.proxies[region] = await exits.enter_async_context(proxy)
            if self._opa_program is not None:
                self.opa = StackOpa(self._opa_program, self.state, {**os.environ, **self._settings})
            await self.start_gateway()
            await self.start_opa()
            context = Context(url=self.url, development=str(self.state / DEVELOPMENT))
            write_private(self.state / CONTEXT_PATH.name, msgspec_json.encode(context))
            exits.callback((self.state / CONTEXT_PATH.name).unlink, missing_ok=True)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def _certificates(self, region: str) -> Path:
        return self._folder(region) / "pki"

    def _folder(self, region: str) -> Path:
        # Resolved: what a region's command line says can be read by its tasks.
        return (self.state / REGIONS / region).resolve()

    async def start_region(self, region: str, *, port: int = 0) -> None:
        """Starts the cluster of `region` and waits until it is ready. Raises `CliError` if it is not.

        `port` 0 means any free port. A cluster that is started again needs the port it had: its proxy
        forwards to that.
        """
        await self._start(region, self.region_command(region, port))

    def start_command(self, name: str) -> list[str]:
        """Returns the words of the shell command that starts a process of the stack at its old address."""
        if self.opa and name == "opa":
            environment = [f"{variable}={value}" for variable, value in ENVIRONMENT.items()]
            return ["env", "-i", *environment, *self.opa.command()]
        if name == "gateway":
            without = [word for rule in RULES if self.opa and rule in os.environ for word in ("-u", rule)]
            return [*(["env", *without] if without else []), "waypost", *self._gateway_command()]
        return ["waypost", *self.region_command(name, self.ready[name]["port"])]

    def region_command(self, region: str, port: int) -> list[str]:
        """Returns the arguments with which `waypost` starts the cluster of `region`."""
        options = {
            "--region": region,
            "--state": self._folder(region),
            "--pki": self._certificates(region),
            "--port": port,
            "--metrics-port": self.ready.get(region, {}).get("metrics_port", 0),
            "--cpu": self._cpu,
            # Only where it is not the default: regions of an earlier version do not know it.
            **({} if self._queue_policy == DEFAULT_QUEUE.policy else {"--queue-policy": self._queue_policy}),
            **({} if self._secrets is None else {"--secrets.files": self._secrets.resolve()}),
        }
        words = [str(word) for option in options.items() for word in option] + self._storages
        return ["cluster", *words, *sandbox_options(self.state, self._shared, self._executors)]

    async def start_opa(self) -> None:
        """Starts the stack's OPA, if it has one. Raises `CliError` if the OPA does not get ready."""
        if self.opa is not None:
            self.processes["opa"] = await self.opa.start_beside(self.metrics_url)

    async def start_gateway(self) -> None:
        """Writes the gateway's settings and starts it, on the ports that it had before, if any."""
        self._write_settings()
        if not (key := self.state / AUDIT_KEY).exists():
            write_private(self.state / "audit.pub.pem", make_audit_key(key).encode())
        await self._start("gateway", self._gateway_command())
        self._write_settings()  # with the ports that it has: one that is started by hand gets the same

    def _gateway_command(self) -> list[str]:
        return ["gateway", "--config", str(self.configuration)]

    def _write_settings(self) -> None:
        ports = self.ready.get("gateway", self._ports)
        regions = "\n".join(
            f'[[regions]]\nname = "{region}"\nurl = "embedded+https://127.0.0.1:{self.proxies[region].port}"'
            for region in self.regions
        )
        policy = self.opa.policy_settings if self.opa else ""
        text = (
            f'store = "sqlite:{self.state / DATABASE}"\npki = "{self.state / PKI}"\n'
            f'development = "{self.state / DEVELOPMENT}"\n[audit]\nkey = "{self.state / AUDIT_KEY}"\n'
            f"[listen]\nport = {ports['port']}\n[metrics]\nport = {ports['metrics_port']}\n"
            f"{policy}{regions}\n"
        )
        write_private(self.configuration, text.encode())

    async def _start(self, name: str, arguments: Sequence[str]) -> None:
        """Starts one process of the stack and waits for the line that it prints when it is ready.

        Raises `CliError` where none comes within `READY_SECONDS`.
        """
        path = self.state / "logs" / f"{name}.log"
        with os.fdopen(open_private(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as log:
            since = log.tell()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C at the terminal is for this process alone, which then stops the gateway before the
                # regions.
                start_new_session=True,
                # A region's tasks can read where it was started: not where the stack's keys may be.
                cwd=None if name == "gateway" else self._folder(name),
                env=self._environment(name),
            )
        self.processes[name] = process
        # Empty where the process ended before it was ready, or takes too long.
        line = b""
        if process.stdout is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_SECONDS):
                    line = await process.stdout.readline()
        if not line:
            why = why_no_start(path, since=since)
            raise CliError(f"{name} did not start", lines=why, code=Exit.UNAVAILABLE)
        self.ready[name] = json.loads(line)

    def _environment(self, name: str) -> dict[str, str]:
        """Returns the environment variables for the stack's process `name`.

        Those of the gateway include the stack's settings; where an OPA decides, they do not name any rules.
        """
        if name != "gateway":
            return {key: value for key, value in os.environ.items() if key not in ("PWD", "OLDPWD")}
        environment = {**os.environ, **self._settings}
        return {key: value for key, value in environment.items() if not (self.opa and key in RULES)}

    def kill(self, name: str) -> None:
        """Sends SIGKILL to the stack's process `name`, as if its machine were lost; its tasks end too."""
        self.processes[name].kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends the signal `number` to the stack's process `name`."""
        self.processes[name].send_signal(number)

    async def _stop_all(self) -> None:
        """Stops all processes of the stack, the regions last, so that the gateway sees no outage.

        The OPA is stopped first: it still sends the gateway what it has logged.
        """
        for group in (["opa"], ["gateway"], self.regions):
            running = [
                process
                for name in group
                if (process := self.processes.get(name)) is not None and process.returncode is None
            ]
            for process in running:
                # it may have ended since
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            await asyncio.gather(*(_wait_or_kill(process) for process in running))


async def _wait_or_kill(process: asyncio.subprocess.Process) -> None:
    """Waits for the end of a process that was asked to stop; kills it after `STOP_SECONDS`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
            return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
