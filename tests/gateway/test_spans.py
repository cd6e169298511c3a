"""Tests the trace of a submission from the caller to its task, as a receiver of OTLP gets it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from clusters.checked_cluster import CheckedCluster
from clusters.embedded.node import ClusterNode
from gateway import app
from gateway.app import compose
from gateway.identity.development_issuer import mint_token
from gateway.settings import GatewaySettings, RegionTarget, Secret, TracingSettings
from gateway.start_error import StartError
from observability.spans import exporter as exporting
from observability.spans.exporter import span_exporter
from tests.clusters.embedded.working_node import settings_without_sandbox
from tests.observability.spans.receiver import Receiver, attributes
from waypost.cancellation import cancel_and_wait

TRACE, CALLER = "ab" * 16, "cd" * 8
REGION = RegionTarget(name="beijing", url="embedded+https://127.0.0.1:1")
SCOPES = ("workflows:submit", "workflows:read")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(exporting, "PAUSE_SECONDS", 0.01)
    with Receiver() as receiver:
        yield receiver


def settings_at(folder: Path, endpoint: str | None) -> GatewaySettings:
    return GatewaySettings(
        store=Secret(f"sqlite:{folder / 'gateway.db'}"),
        development=str(folder / "dev"),
        regions=(REGION,),
        tracing=TracingSettings(endpoint=endpoint),
    )


def document(**spec: Any) -> dict[str, Any]:
    tell = 'printf \'"%s"\' "$TRACEPARENT" > "$WAYPOST_OUTPUT"'
    task = {
        "name": "a",
        "type": "process",
        "run": {"command": ["sh", "-c", tell], "env": {"KEY": "quiet-env"}},
    }
    spec = {"params": {"password": "quiet-parameter"}, "tasks": [task], **spec}
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "nightly"}, "spec": spec}


@asynccontextmanager
async def running(
    settings: GatewaySettings, node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """Runs a gateway whose one region is `node`; yields a client of its API."""
    clusters = {"beijing": CheckedCluster(node, region="beijing")}
    monkeypatch.setattr(app, "clusters_of", lambda *_: clusters)
    async with compose(settings) as gateway:
        controller = asyncio.create_task(gateway.loops["controller"]())
        token = mint_token(Path(settings.development or ""), subject="ada", tenant="demo", scopes=SCOPES)
        headers = {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(gateway.api)
        try:
            async with httpx.AsyncClient(
                transport=transport, base_url="http://gateway", headers=headers
            ) as client:
                yield client
        finally:
            await cancel_and_wait((controller,))


async def ended(client: httpx.AsyncClient, run: str) -> Any:
    while (found := (await client.get(f"/v1/runs/{run}?outputs=true")).json())["phase"] != "Succeeded":
        assert found["phase"] in ("Pending", "Running")
        await asyncio.sleep(0.01)
    return found


async def test_a_trace_leads_from_the_caller_to_the_task(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One span for the call, its steps, the attempt and the try, each within the one before; no secret."""
    node = ClusterNode(settings_without_sandbox(tmp_path / "state", cpu=4.0))
    process = {"service.name": "waypost-cluster", "region": "beijing"}
    async with (
        span_exporter(receiver.url, process=process, count=node.metrics.spans) as node.spans,
        running(settings_at(tmp_path, receiver.url), node, monkeypatch) as client,
    ):
        sent = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=quiet-state"}
        answer = await client.post("/v1/runs", json=document(), headers=sent)
        run = answer.json()["id"]
        found = await ended(client, run)
        told = found["tasks"][0]["output"]
        token = client.headers["authorization"].partition(" ")[2]

    spans = {span.name: span for span in receiver.spans() if span.trace_id.hex() == TRACE}
    assert spans.keys() == {"submit", "authenticate", "read", "authorize", "admit", "attempt", "try"}
    submit, attempt, tried = spans["submit"], spans["attempt"], spans["try"]
    assert submit.parent_span_id.hex() == CALLER
    assert answer.headers["traceparent"] == f"00-{TRACE}-{submit.span_id.hex()}-01"
    assert {spans[step].parent_span_id for step in ("authenticate", "read", "authorize", "admit")} == {
        submit.span_id
    }
    assert (attempt.parent_span_id, tried.parent_span_id) == (submit.span_id, attempt.span_id)
    # What the task records is within the span of its try.
    assert told == f"00-{TRACE}-{tried.span_id.hex()}-01"
    decided = attributes(submit)["decision_id"]
    assert attributes(submit) == {
        "operation": "submit",
        "outcome": "Accepted",
        "run": run,
        "decision_id": decided,
    }
    where = {"run": run, "shard": 0, "epoch": attributes(tried)["epoch"], "region": "beijing"}
    assert attributes(attempt) == {**where, "outcome": "Completed", "decision_id": decided}
    assert attributes(tried) == {
        **where,
        "task": "a",
        "try": 1,
        "executor": "process",
        "outcome": "Succeeded",
    }
    assert submit.start_time_unix_nano <= attempt.start_time_unix_nano <= tried.start_time_unix_nano
    assert tried.end_time_unix_nano <= attempt.end_time_unix_nano
    sent_text = b"".join(receiver.bodies)
    assert [
        word for word in ("quiet-env", "quiet-parameter", token, "ada") if word.encode() in sent_text
    ] == []


async def test_a_submission_without_a_trace_is_recorded_and_a_refusal_too(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task is in the sampled trace that the gateway began. A path that names nothing is not sent."""
    node = ClusterNode(settings_without_sandbox(tmp_path / "state", cpu=4.0))
    async with running(settings_at(tmp_path, receiver.url), node, monkeypatch) as client:
        answer = await client.post("/v1/runs", json=document())
        found = await ended(client, answer.json()["id"])
        assert found["tasks"][0]["output"].endswith("-01")
        assert (await client.get("/v1/runs/quiet-path")).status_code == 404
        assert (await client.post("/v1/runs", json=document(tasks=[]))).status_code == 422

    kinds = {(span.name, attributes(span).get("outcome")) for span in receiver.spans()}
    assert kinds >= {("submit", "Accepted"), ("describe", "NotFound"), ("submit", "Invalid")}
    assert b"quiet-path" not in b"".join(receiver.bodies)


async def test_of_the_traces_that_begin_here_a_share_is_recorded_and_of_callers_what_they_say(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a trace that is not: neither by the gateway nor by the cluster or the task."""
    node = ClusterNode(settings_without_sandbox(tmp_path / "state", cpu=4.0))
    settings = settings_at(tmp_path, receiver.url)
    settings = structs.replace(settings, tracing=structs.replace(settings.tracing, share=0.0))
    async with running(settings, node, monkeypatch) as client:
        answer = await client.post("/v1/runs", json=document())
        found = await ended(client, answer.json()["id"])
        assert found["tasks"][0]["output"].endswith("-00")
        sent = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        assert (await client.post("/v1/runs", json=document(), headers=sent)).status_code == 202
    assert {span.trace_id.hex() for span in receiver.spans()} == {TRACE}


async def test_a_receiver_that_is_down_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, neither a call nor the end of the gateway."""
    monkeypatch.setattr(exporting, "SEND_SECONDS", 0.1)
    with Receiver() as gone:
        url = gone.url
    node = ClusterNode(settings_without_sandbox(tmp_path / "state", cpu=4.0))
    async with running(settings_at(tmp_path, url), node, monkeypatch) as client:
        answer = await client.post("/v1/runs", json=document())
        assert answer.status_code == 202
        await ended(client, answer.json()["id"])


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://ada:quiet@collector/v1/traces"])
async def test_an_endpoint_that_cannot_be_used_is_named_at_the_start(tmp_path: Path, endpoint: str) -> None:
    """By its setting, and without the secret in it."""
    with pytest.raises(StartError, match=r"tracing\.endpoint") as refused:
        async with compose(settings_at(tmp_path, endpoint)):
            pass
    assert "quiet" not in str(refused.value)
