"""Runs Prometheus and Alertmanager beside a stack, with the shipped rules, alerts and routes."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from msgspec import Struct

import observability
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError, Exit
from waypost.files.permissions import make_private_folder, write_private

SHIPPED: Final = Path(observability.__file__).parent
PLACEHOLDER: Final = "http://127.0.0.1:9099"
"""The address in Alertmanager's shipped configuration that an operator replaces."""
READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05


class Monitoring(Struct, frozen=True, kw_only=True):
    """The addresses of a stack's Prometheus and Alertmanager."""

    prometheus_url: str
    alerts_url: str


def monitoring_programs() -> tuple[str, str]:
    """Returns the paths of Prometheus and Alertmanager. Raises `CliError` if one is missing."""
    prometheus = shutil.which("prometheus")
    alerts = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if prometheus is None or alerts is None:
        raise CliError(
            "Prometheus or Alertmanager is not here",
            lines=("Install both: make prometheus (Debian's packages).",),
            code=Exit.FAILED,
        )
    return prometheus, alerts


@asynccontextmanager
async def monitoring(stack: Stack, *, receiver: str) -> AsyncIterator[Monitoring]:
    """Starts Prometheus and Alertmanager, waits until they answer, and ends them by their process ids.

    `receiver` is the URL below which pages (`/page`) and tickets (`/ticket`) are posted. Raises `CliError`
    where a program is missing or does not start.
    """
    prometheus, alerts = monitoring_programs()
    folder = stack.state / "monitoring"
    make_private_folder(folder)
    addresses = _free_address(), _free_address()
    routes = (SHIPPED / "alertmanager" / "alertmanager.yml").read_text().replace(PLACEHOLDER, receiver)
    write_private(folder / "alertmanager.yml", routes.encode())
    write_private(folder / "prometheus.yml", yaml.safe_dump(_configuration(stack, addresses[1])).encode())
    async with AsyncExitStack() as exits:
        command = [
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address={addresses[1]}",
            "--cluster.listen-address=",
        ]
        await exits.enter_async_context(_server([alerts, *command], f"http://{addresses[1]}", folder))
        command = [
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={addresses[0]}",
            "--enable-feature=exemplar-storage",
        ]
        await exits.enter_async_context(_server([prometheus, *command], f"http://{addresses[0]}", folder))
        yield Monitoring(prometheus_url=f"http://{addresses[0]}", alerts_url=f"http://{addresses[1]}")


def _configuration(stack: Stack, alerts: str) -> dict[str, Any]:
    """Returns Prometheus' shipped configuration for the processes of the stack, without long-term storage."""
    found: dict[str, Any] = yaml.safe_load((SHIPPED / "prometheus" / "prometheus.yml").read_text())
    found["rule_files"] = [str(SHIPPED / "prometheus" / "rules" / "*.yml")]
    found["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alerts]}]}]
    del found["remote_write"]
    gateways = [{"targets": [stack.metrics_url.removeprefix("http://")]}]
    clusters = [
        {"targets": [f"127.0.0.1:{stack.ready[region]['metrics_port']}"], "labels": {"region": region}}
        for region in stack.regions
    ]
    for job in found["scrape_configs"]:
        del job["file_sd_configs"]
        job["static_configs"] = clusters if job["job_name"] == "waypost-clusters" else gateways
    return found


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
