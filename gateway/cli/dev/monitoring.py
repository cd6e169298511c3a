"""Runs Prometheus and Alertmanager beside the gateway of `waypost up`, with the shipped configuration."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import yaml
from msgspec import Struct

from gateway.cli.dev.shipped_monitoring import (
    RULES,
    TOKEN_FILE,
    divide_times,
    prometheus_configuration,
    routes_configuration,
)
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError, Exit
from waypost.files.permissions import make_private_folder, write_private

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05


class Monitoring(Struct, frozen=True, kw_only=True):
    """The URLs of the Prometheus and the Alertmanager that run beside a stack."""

    prometheus_url: str
    alerts_url: str


def monitoring_programs() -> tuple[str, str]:
    """Returns the paths of the programs `prometheus` and `alertmanager`. Raises `CliError` without them."""
    prometheus = shutil.which("prometheus")
    alerts = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if prometheus is None or alerts is None:
        raise CliError(
            "Prometheus or Alertmanager is not here",
            lines=("Install both: make prometheus (Debian's packages).",),
            code=Exit.FAILED,
        )
    return prometheus, alerts


def choose_addresses() -> Monitoring:
    """Chooses free local addresses for Prometheus and Alertmanager, before a stack is started."""
    return Monitoring(prometheus_url=f"http://{_free_address()}", alerts_url=f"http://{_free_address()}")


@asynccontextmanager
async def monitoring(
    stack: Stack, servers: Monitoring, *, receiver: str, alerts_token: str, speed: float = 1.0
) -> AsyncIterator[None]:
    """Runs Prometheus and Alertmanager while the context is open: starts them, and ends them after it.

    `receiver` is the URL below which pages (`/page`) and tickets (`/ticket`) are posted. Alerts that trigger
    rollbacks go to the stack's gateway with `alerts_token`. All times are divided by `speed`. Raises
    `CliError` where a program is missing or does not start.
    """
    prometheus, alerts = monitoring_programs()
    folder = stack.state / "monitoring"
    _write_configuration(folder, stack, servers, receiver=receiver, alerts_token=alerts_token, speed=speed)
    async with AsyncExitStack() as exits:
        command = [
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address={_address(servers.alerts_url)}",
            "--cluster.listen-address=",
        ]
        await exits.enter_async_context(_server([alerts, *command], servers.alerts_url, folder))
        command = [
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={_address(servers.prometheus_url)}",
            "--enable-feature=exemplar-storage",
        ]
        await exits.enter_async_context(_server([prometheus, *command], servers.prometheus_url, folder))
        yield


def _write_configuration(
    folder: Path, stack: Stack, servers: Monitoring, *, receiver: str, alerts_token: str, speed: float
) -> None:
    rules = folder / "rules"
    make_private_folder(rules)
    for path in RULES.glob("*.yml"):
        write_private(rules / path.name, divide_times(path.read_text(), speed).encode())
    routes = routes_configuration(gateway=stack.url, receiver=receiver, speed=speed)
    write_private(folder / "alertmanager.yml", routes.encode())
    write_private(folder / TOKEN_FILE, alerts_token.encode())
    scraped = prometheus_configuration(
        gateway=_address(stack.metrics_url),
        clusters={region: f"127.0.0.1:{stack.ready[region]['metrics_port']}" for region in stack.regions},
        alerts=_address(servers.alerts_url),
        rules=rules,
        speed=speed,
    )
    write_private(folder / "prometheus.yml", yaml.safe_dump(scraped).encode())


def _address(url: str) -> str:
    return url.removeprefix("http://")


@asynccontextmanager
async def _server(command: Sequence[str], url: str, folder: Path) -> AsyncIterator[None]:
    name = Path(command[0]).name
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        await _wait_until_ready(name, url, process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _wait_until_ready(name: str, url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while process.returncode is None:
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get("/-/ready")).is_success:
                            return
                    await asyncio.sleep(LOOK_SECONDS)
    raise CliError(f"{name} did not start", lines=("Its log is in the folder monitoring.",), code=Exit.FAILED)


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
