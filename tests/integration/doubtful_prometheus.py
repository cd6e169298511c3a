"""Stands between a gateway and a real Prometheus, which it makes unreachable, slow, late, empty or wrong."""

import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.cli.dev.faulty_proxy import Proxy
from tests.integration.prometheus_server import prometheus
from tests.observability.alert_server import free_address
from waypost.serving import Server

COUNTER: Final = "waypost_submission_decisions_total"
OTHER_CAUSES: Final = ("waypost_failovers_total", "waypost_region_condition")
"""The metrics that are asked for because they may explain an alert."""


class DoubtfulPrometheus:
    """An HTTP server that passes queries to a real Prometheus. `path` is the network path to it."""

    def __init__(self, good: str, bad: str) -> None:
        self._good, self._bad = good, bad
        self.path = Proxy(target_host="127.0.0.1", target_port=0)
        self.clock_offset_seconds = 0.0
        """The seconds by which the Prometheus' clock seems to be ahead."""
        self.empty = False
        """Whether a real Prometheus answers that has scraped no gateway."""
        self.nan_revisions: Collection[str] = ()
        """The revisions whose counters that other Prometheus scrapes, all of them NaN."""
        self.failovers_seen = 0
        """The number of evidence queries that were answered with failovers."""
        self.failovers_long_ago = False
        """Whether it answers as if failovers, and losses of regions, were longer ago than the window."""
        self.application = Starlette(
            routes=[Route("/api/v1/query", self.query), Route("/metrics", self.metrics)]
        )
        self.client = httpx.AsyncClient()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.path.port}"

    async def query(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if self.clock_offset_seconds and "time" not in asked:
            asked["time"] = str(time.time() + self.clock_offset_seconds)
        target = self._bad if self.empty or self.nan_revisions else self._good
        if self.failovers_long_ago:
            for name in OTHER_CAUSES:
                asked["query"] = asked["query"].replace(name, "nothing_of_this_name")
        answer = await self.client.get(f"{target}/api/v1/query", params=asked)
        for sample in answer.json()["data"]["result"]:
            moved = sample["metric"].get("number") == "failovers" and float(sample["value"][1]) > 0
            self.failovers_seen += moved
        return Response(answer.content, answer.status_code, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """The metrics that the other Prometheus scrapes."""
        lines = [
            f'{COUNTER}{{revision="{revision}",outcome="{outcome}"}} NaN\n'
            for revision in self.nan_revisions
            for outcome in ("permitted", "refused")
        ]
        return Response("".join(lines), 200 if lines else 503, media_type="text/plain; version=0.0.4")

    async def has_nan(self) -> bool:
        """Returns whether the other Prometheus has scraped NaN twice."""
        query = f"sum(increase({COUNTER}[10s]))"
        answer = await self.client.get(f"{self._bad}/api/v1/query", params={"query": query})
        return [one["value"][1] for one in answer.json()["data"]["result"]] == ["NaN"]


@asynccontextmanager
async def doubtful_prometheus(folder: Path, good: str) -> AsyncIterator[DoubtfulPrometheus]:
    """Runs it before the Prometheus whose URL is `good`, with another Prometheus that scrapes only itself."""
    address = free_address()
    doubtful = DoubtfulPrometheus(good, f"http://{address}")
    async with Server(doubtful.application, host="127.0.0.1", port=0) as server, doubtful.client:
        configuration = folder / "other.yml"
        job = {"job_name": "other", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}
        written = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}
        configuration.write_text(yaml.safe_dump(written))
        doubtful.path = Proxy(target_host="127.0.0.1", target_port=server.port)
        async with doubtful.path, prometheus("main", address, configuration, folder):
            yield doubtful
