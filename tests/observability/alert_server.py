"""Runs a real Alertmanager with the shipped configuration."""

import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.integration.waiting import until
from tests.observability.prometheus_files import ALERTMANAGER, program


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@asynccontextmanager
async def alert_server(
    folder: Path, receiver: str, *, gateway: str = "http://127.0.0.1:8080"
) -> AsyncIterator[httpx.AsyncClient]:
    """Runs an Alertmanager that notifies the URL `receiver`, and `gateway`; yields a client of its API."""
    name = "prometheus-alertmanager" if shutil.which("prometheus-alertmanager") else "alertmanager"
    found, address = program(name), free_address()
    file = folder / "alertmanager.yml"
    text = ALERTMANAGER.read_text().replace("http://127.0.0.1:9099", receiver)
    file.write_text(text.replace("http://127.0.0.1:8080", gateway))
    (folder / "waypost-alerts.token").write_text("of-alertmanager")
    process = subprocess.Popen(
        [
            found,
            f"--config.file={file}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v2") as client:
            await until(lambda: _answers(client))
            yield client
    finally:
        process.terminate()
        process.wait()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/status")).status_code == 200
    except httpx.TransportError:
        return False
