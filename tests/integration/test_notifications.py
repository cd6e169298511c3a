"""Tests that a real gateway calls the webhooks of runs that have ended, as settings and policy permit."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.dev.stack import Stack
from gateway.notifications.message import signed_headers
from tests.integration.conftest import caller_of
from tests.integration.waiting import ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

DATA = Path(__file__).parents[2] / "policies" / "data.json"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    data = json.loads(DATA.read_text())
    data["tenants"]["demo"]["notify"] = ["127.0.0.1"]
    (tmp_path / "data.json").write_text(json.dumps(data))
    settings = {
        "WAYPOST_NOTIFICATIONS__EGRESS": '["127.0.0.0/8:*", "localhost:*"]',
        "WAYPOST_NOTIFICATIONS__KEY": KEY,
        "WAYPOST_POLICY__DATA": str(tmp_path / "data.json"),
    }
    async with Stack(tmp_path / "stack", ("beijing",), settings=settings) as stack:
        yield stack


def noticed(url: str, command: str) -> dict[str, Any]:
    task = {"name": "a", "type": "process", "run": {"command": ["sh", "-c", command]}}
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "noticed"},
        "spec": {"tasks": [task], "notify": [{"url": url, "on": ["Failed"]}]},
    }


async def test_a_webhook_is_called_after_the_ends_that_it_asked_for(
    stack: Stack, httpserver: HTTPServer
) -> None:
    """With a signature that its owner can check; and explain says that it was."""
    httpserver.expect_request("/hook").respond_with_data("ok")
    url = f"http://127.0.0.1:{httpserver.port}/hook"
    async with caller_of(stack) as client:
        await taking_work(client, ("beijing",))
        good = await submitted(client, noticed(url, "true"))
        assert (await ended(client, good))["phase"] == "Succeeded"
        bad = await submitted(client, noticed(url, "exit 3"))
        assert (await ended(client, bad))["phase"] == "Failed"

        async def explained() -> list[dict[str, Any]]:
            story = (await client.get(f"/v1/runs/{bad}/explain")).json()
            return [entry for entry in story["history"] if entry["kind"] == "Notified"]

        (entry,) = await until(explained)
        assert entry["detail"] == {"host": "127.0.0.1", "phase": "Failed", "tries": 1}
        refused = await client.post("/v1/runs", json=noticed(f"http://localhost:{httpserver.port}/", "true"))
        assert (refused.status_code, "notify.host" in refused.text) == (403, True)

    ((request, _),) = httpserver.log
    assert request.get_json()["data"]["run"] == bad
    identity, at = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
    signed = signed_headers(identity, request.get_data(), key=KEY, now=at)
    assert request.headers["webhook-signature"] == signed["webhook-signature"]
