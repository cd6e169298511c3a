"""Tests that no secret gets into a log line or a metric, from any field of a request."""

import base64
import io
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from loguru import logger

from gateway.app import compose
from gateway.identity.development_issuer import mint_token
from gateway.settings import GatewaySettings, Secret
from observability import logs


class Canaries:
    """Generates recognizable secrets, one for each field, that no redaction pattern matches."""

    def __init__(self) -> None:
        self._count, self.made = itertools.count(), list[str]()

    def __call__(self, field: str) -> str:
        self.made.append(f"quiet-{next(self._count)}-finch-{field}")
        return self.made[-1]

    def seen_in(self, text: str) -> list[str]:
        shown = [base64.b64encode(one.encode()).decode().rstrip("=") for one in self.made]
        return [one for one in (*self.made, *shown) if one in text]


@pytest.fixture
def canary() -> Canaries:
    return Canaries()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Yields everything that is logged at any level, as JSON, without redaction."""
    stream = io.StringIO()
    monkeypatch.setattr(logs, "redacted", lambda text: text)
    logs.configure(level="DEBUG", style="json", stream=stream)
    yield stream
    logger.remove()


@pytest.fixture
async def gateway(tmp_path: Path, lines: io.StringIO) -> AsyncIterator[Callable[[], Any]]:
    settings = GatewaySettings(
        store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"),
        development=str(tmp_path / "dev"),
    )
    scopes = ("workflows:submit", "workflows:read", "workflows:cancel", "regions:read")
    async with compose(settings) as composed:

        def client(app: Any) -> httpx.AsyncClient:
            token = mint_token(tmp_path / "dev", subject="ada", tenant="demo", scopes=scopes)
            transport = httpx.ASGITransport(app, raise_app_exceptions=True)
            return httpx.AsyncClient(
                transport=transport, base_url="http://gateway", headers={"authorization": f"Bearer {token}"}
            )

        async with client(composed.api) as outside, client(composed.internal_api) as inside:
            yield lambda: (outside, inside)


def document(canary: Canaries) -> dict[str, Any]:
    """Returns a workflow with a secret in every field that a team fills in."""
    command = ["sh", "-c", canary("argument")]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {
            "name": "nightly",
            "labels": {"team": canary("label")},
        },
        "spec": {
            "params": {"password": canary("param"), "nested": {"deep": [canary("nested")]}},
            "shards": {"items": [{"key": canary("item")}]},
            "tasks": [
                {"name": "a", "type": "process", "run": {"command": command, "env": {"KEY": canary("env")}}},
                {
                    "name": "b",
                    "type": "process",
                    "run": {"command": ["true"]},
                    "needs": ["a"],
                    "when": f'params.password == "{canary("condition")}"',
                },
            ],
        },
    }


def broken(canary: Canaries) -> list[bytes]:
    """Returns invalid bodies, each with a secret in the faulty part."""
    good = document(canary)
    return [
        b'{"apiVersion": "waypost/v1", "token": "' + canary("unknown").encode() + b'"}',
        b'{"apiVersion": ' + canary("syntax").encode(),
        msgspec.json.encode(good | {"spec": good["spec"] | {"deadlineSeconds": canary("type")}}),
        msgspec.json.encode(good | {canary("name"): 1}),
        msgspec.json.encode(
            good | {"spec": {"tasks": [{"name": "a", "type": canary("executor"), "run": {}}]}}
        ),
    ]


async def test_no_secret_reaches_the_log_or_the_metrics(
    gateway: Callable[[], Any], canary: Canaries, lines: io.StringIO
) -> None:
    """In every field: headers of each kind, queries, cookies, and everything that a document holds."""
    outside, inside = gateway()
    token = outside.headers["authorization"].partition(" ")[2]
    accepted = await outside.post(
        "/v1/runs",
        json=document(canary),
        headers={
            "idempotency-key": canary("key"),
            "cookie": f"session={canary('cookie')}",
            "x-api-key": canary("header"),
            "user-agent": canary("agent"),
            "traceparent": f"00-{canary('trace')}-01",
            "tracestate": f"a={canary('state')}",
        },
    )
    for body in broken(canary):
        for media_type in ("application/json", "application/yaml"):
            refused = await outside.post("/v1/runs", content=body, headers={"content-type": media_type})
            assert 400 <= refused.status_code < 500
    for scheme in ("Bearer", "Basic", "Token"):
        await outside.get("/v1/runs", headers={"authorization": f"{scheme} {canary(scheme)}"})
    head, claims, _ = token.split(".")
    await outside.get("/v1/runs", headers={"authorization": f"Bearer {head}.{claims}.{canary('signature')}"})
    await outside.get(f"/v1/runs?access_token={canary('query')}")
    await outside.get("/v1/runs", params={"label": f"a={canary('filter')}", "continue": canary("cursor")})
    await outside.post("/v1/runs", json={}, headers={"content-type": canary("media")})
    await outside.post("/v1/regions/beijing/forget", json={"why": canary("reason")})
    metrics = (await inside.get("/metrics", headers={"accept": "application/openmetrics-text"})).text

    assert accepted.status_code == 202, accepted.text
    logged = lines.getvalue()
    assert "token refused" in logged and "refused by policy" in logged
    assert (canary.seen_in(logged), canary.seen_in(metrics)) == ([], [])
    assert not any(part in logged + metrics for part in token.split("."))
    assert all(isinstance(msgspec.json.decode(line), dict) for line in logged.splitlines())
