"""Runs real Prometheus servers with the shipped configuration, with shorter times, on a stack."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.cli.dev.stack import Stack
from tests.integration.waiting import until
from tests.observability.prometheus_files import PROMETHEUS, RULE_FILES, program


def flags_of(server: str) -> list[str]:
    """Returns the shipped flags of one server, without those that name its place."""
    (line,) = [
        line for line in (PROMETHEUS / f"{server}.default").read_text().splitlines() if "ARGS=" in line
    ]
    own = ("--config.file", "--storage.tsdb.path", "--web.listen-address")
    return [flag for flag in line.removeprefix("ARGS=").strip('"').split() if not flag.startswith(own)]


def shortened_rules(folder: Path) -> str:
    """Copies the shipped rules to `folder`, with alerts that wait two seconds."""
    folder.mkdir()
    for path in RULE_FILES:
        (folder / path.name).write_text(re.sub(r"\bfor: \w+", "for: 2s", path.read_text()))
    return str(folder / "*.yml")


def configuration_for(stack: Stack, stores: dict[str, str], rules: str, alerts: str) -> dict[str, Any]:
    """Returns the shipped configuration with the stack's processes and one-second intervals."""
    found: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    found["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    found["rule_files"] = [rules]
    found["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alerts]}]}]
    for written in found["remote_write"]:
        written["url"] = f"http://{stores[written['name']]}/api/v1/write"
    gateways = [{"targets": [stack.metrics_url.removeprefix("http://")]}]
    clusters = [
        {"targets": [f"127.0.0.1:{stack.ready[region]['metrics_port']}"], "labels": {"region": region}}
        for region in stack.regions
    ]
    for job in found["scrape_configs"]:
        job["scrape_interval"] = "1s"
        del job["file_sd_configs"]
        job["static_configs"] = clusters if job["job_name"] == "waypost-clusters" else gateways
    return found


class PrometheusApi:
    """A client of a Prometheus server's API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series that an expression gives now. Raises `AssertionError` for an invalid one."""
        answer = await self._client.get("/api/v1/query", params={"query": expression})
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    async def rules(self) -> dict[str, dict[str, Any]]:
        """Returns every evaluated rule, by the name of its alert or of the series that it records."""
        groups = (await self._client.get("/api/v1/rules")).json()["data"]["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    async def ready(self) -> bool:
        try:
            return (await self._client.get("/-/ready")).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def prometheus(
    server: str, address: str, configuration: Path, folder: Path
) -> AsyncIterator[PrometheusApi]:
    """Runs one Prometheus server with its shipped flags and its data in `folder`."""
    found = program("prometheus")
    process = subprocess.Popen(
        [
            found,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / server}",
            f"--web.listen-address={address}",
            *flags_of(server),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            api = PrometheusApi(client)
            await until(api.ready)
            yield api
    finally:
        process.terminate()
        process.wait()
