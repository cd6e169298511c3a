"""Tests the files shipped for Prometheus and Grafana on a running stack that loses a region."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.dev.stack import Stack
from observability.grafana.pages import DASHBOARDS
from tests.integration.prometheus_server import (
    PrometheusApi,
    configuration_for,
    prometheus,
    shortened_rules,
)
from tests.integration.waiting import ended, submitted, taking_work, until
from tests.observability.alert_server import alert_server, free_address
from tests.observability.prometheus_files import PROMETHEUS, ROOT, rules

pytestmark = pytest.mark.integration

LOST = "beijing"


def work(name: str, *, seconds: float, shards: int, command: str = "true") -> dict[str, Any]:
    """Returns a workflow of a delay and a process, in shards. The process is tried twice if it fails."""
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "shards": {"count": shards},
            "tasks": [
                {"name": "wait", "type": "delay", "run": {"seconds": seconds}},
                {
                    "name": "do",
                    "type": "process",
                    "run": {"command": [command]},
                    "needs": ["wait"],
                    "retry": {"limit": 1},
                },
            ],
        },
    }


async def test_every_panel_and_rule_has_data_and_a_killed_region_pages(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path, httpserver: HTTPServer
) -> None:
    """A panel without data is taken for good news, and a rule that cannot be evaluated never fires.

    Under load, with refusals, and with a region that is killed, which pages: from the gateway's gauge by real
    servers to the receiver.
    """
    pages: dict[str, Any] = {}

    def page(request: Request) -> Response:
        pages.update({one["labels"]["alertname"]: one for one in request.get_json()["alerts"]})
        return Response("")

    httpserver.expect_request("/page").respond_with_handler(page)
    httpserver.expect_request("/ticket").respond_with_data("")
    stores = {name: free_address() for name in ("latency", "pools")}
    main = tmp_path / "prometheus.yml"
    async with AsyncExitStack() as exits:
        receiver = httpserver.url_for("").rstrip("/")
        alerts = await exits.enter_async_context(alert_server(tmp_path, receiver))
        address = f"{alerts.base_url.host}:{alerts.base_url.port}"
        configuration = configuration_for(stack, stores, shortened_rules(tmp_path / "rules"), address)
        main.write_text(yaml.safe_dump(configuration))
        stored = {
            name: await exits.enter_async_context(
                prometheus(name, address, PROMETHEUS / "stored.yml", tmp_path)
            )
            for name, address in stores.items()
        }
        server = await exits.enter_async_context(prometheus("main", free_address(), main, tmp_path))
        await taking_work(client, stack.regions)
        await until(lambda: scraped(server))
        await load(stack, client)
        await until(lambda: server.query('waypost_release_shard_seconds_count{release!="other"}'))
        # What Prometheus has seen once only has no rate yet.
        await ended(client, await submitted(client, {"workflow": "nightly"}))
        # A retry, whose pause is a timer: in a region that lives on, and is scraped after it.
        await ended(client, await submitted(client, work("failing", seconds=0, shards=1, command="false")))

        missing = await until_all_have_data(server)
        assert missing == []
        found = await server.rules()
        assert {name: rule["lastError"] for name, rule in found.items() if rule["health"] != "ok"} == {}
        down = await until(partial(paged, pages, "WaypostRegionDown"))
        assert down["labels"] == {"alertname": "WaypostRegionDown", "region": LOST, "severity": "page"}
        assert LOST in down["annotations"]["description"]
        assert (ROOT / down["annotations"]["runbook_url"]).exists()
        for name, api in stored.items():
            assert await until(partial(jobs_of, api)) == {f"waypost-{name}"}


async def scraped(server: PrometheusApi) -> bool:
    up = await server.query("up")
    return len(up) == 7 and all(one["value"][1] == "1" for one in up)


async def jobs_of(store: PrometheusApi) -> set[str]:
    """Returns the jobs whose series a store has."""
    found = await store.query('count by (job) ({__name__=~"waypost_.+"})')
    return {one["metric"]["job"] for one in found}


async def load(stack: Stack, client: httpx.AsyncClient) -> None:
    """Makes load: work of both types, refusals of each kind, and a region killed with work in it."""
    runs = [await submitted(client, work("quick", seconds=0.1, shards=3)) for _ in range(5)]
    (await client.post("/v1/workflows", json=work("nightly", seconds=0, shards=1))).raise_for_status()
    await ended(client, await submitted(client, {"workflow": "nightly"}))
    await client.post("/v1/runs", json={})
    await client.get("/v1/runs", headers={"authorization": "Bearer none"})
    await client.post(f"/v1/regions/{LOST}/cordon")
    runs.append(await submitted(client, work("long", seconds=4, shards=6)))
    await until(lambda: works(client, LOST))
    stack.kill(LOST)
    await asyncio.gather(*(ended(client, run) for run in runs))


async def works(client: httpx.AsyncClient, region: str) -> bool:
    items = (await client.get("/v1/regions")).json()["items"]
    return any(one["name"] == region and one["inflight"] > 0 for one in items)


async def paged(pages: dict[str, Any], alert: str) -> dict[str, Any] | None:
    return pages.get(alert)


async def until_all_have_data(server: PrometheusApi) -> list[str]:
    """Waits until every expression has had data; returns those that have none.

    Rates are over five minutes: all that the load has done, also on a machine that is slow.
    """
    expressions = {rule["expr"] for rule in rules() if "record" in rule}
    expressions |= {
        expression.replace("$__rate_interval", "5m")
        for page in DASHBOARDS
        for panel in page.panels
        for expression, _ in panel.lines
    }

    async def all_seen() -> bool:
        for expression in sorted(expressions):
            # A quantile or ratio of nothing is NaN, of which Grafana draws nothing.
            if any(one["value"][1] != "NaN" for one in await server.query(expression)):
                expressions.remove(expression)
        return not expressions

    try:
        await until(all_seen, seconds=30)
    except TimeoutError:
        return sorted(expressions)
    return []
