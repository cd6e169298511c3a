"""Tests the shipped Alertmanager configuration: who is notified of which alert."""

import re
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.rollback.webhook import read_alerts
from tests.integration.waiting import until
from tests.observability.alert_server import alert_server
from tests.observability.prometheus_files import ALERTMANAGER, alerts, program

pytestmark = pytest.mark.integration

CONFIGURATION = yaml.safe_load(ALERTMANAGER.read_text())


def test_the_configuration_is_valid() -> None:
    """By Alertmanager's own words."""
    checked = subprocess.run(
        [program("amtool"), "check-config", ALERTMANAGER], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_is_inhibited_exists() -> None:
    """A name with a mistake in it inhibits nothing, which shows when a region is lost."""
    names = alerts().keys()
    for rule in CONFIGURATION["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = matcher.partition('"')[2].rstrip('"')
            for word in pattern.split("|"):
                assert any(re.fullmatch(word, name) for name in names), word


def test_each_alert_goes_to_people_and_what_triggers_rollbacks_to_the_gateway_too() -> None:
    """A route that goes on with an alert keeps it from the default receiver: nobody would be told."""
    people = {"page": "pager", "ticket": "tickets"}
    command = [program("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    for labels in {tuple(alert["labels"].items()) for alert in alerts().values()}:
        given = [f"{name}={value}" for name, value in labels]
        found = subprocess.run([*command, *given], capture_output=True, text=True, check=True).stdout
        gateway = ["waypost"] if "rollback" in dict(labels) else []
        assert found.strip().split(",") == [*gateway, people[dict(labels)["severity"]]], labels


def firing(names: Iterable[str], **labels: str) -> list[dict[str, Any]]:
    found = alerts()
    return [
        {"labels": {"alertname": name, **found[name]["labels"], **labels}, "annotations": {}}
        for name in names
    ]


@pytest.fixture
async def alert_router(tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[httpx.AsyncClient]:
    """Runs an Alertmanager with the shipped configuration that notifies `httpserver`."""
    async with alert_server(tmp_path, httpserver.url_for("").rstrip("/")) as client:
        yield client


async def test_a_lost_region_pages_once(alert_router: httpx.AsyncClient, httpserver: HTTPServer) -> None:
    """What follows from it is kept back: who was woken knows it, or finds it in the runbook."""
    pages: list[str] = []

    def page(request: Request) -> Response:
        pages.extend(one["labels"]["alertname"] for one in request.get_json()["alerts"])
        return Response("")

    async def paged(number: int) -> bool:
        return len(pages) >= number

    httpserver.expect_request("/page").respond_with_handler(page)
    followed = ["WaypostRegionDegraded", "WaypostRegionEjected", "WaypostEventsLate", "WaypostDispatchSlow"]
    lost = firing(["WaypostRegionDown"], region="beijing")
    (await alert_router.post("/alerts", json=lost)).raise_for_status()
    await until(lambda: paged(1))
    later = firing(followed, region="beijing") + firing(["WaypostQueueOld"])
    other = firing(["WaypostRegionEjected"], region="shanghai")
    (await alert_router.post("/alerts", json=later + other)).raise_for_status()
    await until(lambda: paged(2))

    assert pages == ["WaypostRegionDown", "WaypostRegionEjected"]

    async def kept_back() -> bool:
        listed = (await alert_router.get("/alerts")).json()
        names = {one["labels"]["alertname"] for one in listed if one["status"]["inhibitedBy"]}
        return names == {*followed, "WaypostQueueOld"}

    await until(kept_back)


async def test_the_gateway_gets_each_alert_by_itself(tmp_path: Path, httpserver: HTTPServer) -> None:
    """A group of all might be larger than what it takes, and is not sent again then."""
    sent: list[dict[str, Any]] = []

    def take(request: Request) -> Response:
        assert len(read_alerts(request.get_data(), now=0.0).alerts) == 1
        sent.append(request.get_json())
        return Response("")

    async def has(number: int) -> bool:
        return sum(len(one["alerts"]) for one in sent) >= number

    httpserver.expect_request("/v1/alerts").respond_with_handler(take)
    url = httpserver.url_for("").rstrip("/")
    async with alert_server(tmp_path, url, gateway=url) as client:
        many = [firing(["WaypostReleaseFails"], release=f"demo/w@{number}")[0] for number in range(1, 601)]
        (await client.post("/alerts", json=many)).raise_for_status()
        await until(lambda: has(600))
    assert {len(one["alerts"]) for one in sent} == {1}
    assert {one["truncatedAlerts"] for one in sent} == {0}
    assert len({one["alerts"][0]["labels"]["release"] for one in sent}) == 600
