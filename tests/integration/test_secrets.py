"""Tests that the secrets of real runs are nowhere but in their tasks: canaries are looked for everywhere."""

import asyncio
import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import caller_of
from tests.integration.waiting import ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REGIONS = ("beijing", "shanghai")
CANARY = "canary/of+the=store-7f3a"
KEY_CANARY = "-----BEGIN KEY-----\nfinches-in-the-hedge-91c4\n-----END KEY-----\n"
SHAPES = [
    CANARY.encode(),
    base64.b64encode(CANARY.encode()).rstrip(b"="),
    CANARY.encode().hex().encode(),
    b"finches-in-the-hedge",
]
LOUD = """
import base64, json, os, sys, time
secret = os.environ["TOKEN"]
key = open(os.environ["WAYPOST_SECRETS"] + "/KEY").read()
print("token", secret, key, flush=True)
print(base64.b64encode(b"u:" + secret.encode()).decode(), secret.encode().hex(), flush=True)
for letter in secret:
    sys.stderr.write(letter)
    sys.stderr.flush()
if os.environ["WAYPOST_TASK"] == "fails":
    open(os.environ["WAYPOST_OUTPUT"], "w").write('{"%s": 1, "%s": 2}' % (secret, secret))
if os.environ["WAYPOST_TASK"] == "waits":
    open(sys.argv[1], "w").close()
    time.sleep(60)
"""
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


@pytest.fixture
def values(tmp_path: Path) -> Path:
    folder = tmp_path / "values"
    (folder / "demo").mkdir(parents=True)
    (folder / "demo" / "token").write_text(CANARY)
    (folder / "demo" / "key").write_text(KEY_CANARY)
    return folder


@pytest.fixture
async def stack(tmp_path: Path, values: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path / "stack", REGIONS, secrets=values) as stack:
        yield stack


def loud(*tasks: str, **spec: Any) -> dict[str, Any]:
    made = [
        {"name": name, "type": "process", "run": {"command": [PYTHON, "-c", LOUD, "started"]}} | more
        for name, more in (
            (name, {"resources": {"memoryMiB": 512}} if name == "limited" else {}) for name in tasks
        )
    ]
    secrets = [
        {"name": "TOKEN", "from": "demo/token"},
        {"name": "KEY", "from": "demo/key", "as": "file"},
    ]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "loud"},
        "spec": {"tasks": made, "secrets": secrets} | spec,
    }


def seen_in(content: bytes) -> list[bytes]:
    return [shape for shape in SHAPES if shape in content]


def command_lines() -> bytes:
    """Returns the command lines of all processes, as `ps` shows them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(found)


async def answers_about(client: httpx.AsyncClient, run: str) -> bytes:
    """Returns all that the API says of a run: description, explanation, events, logs, records."""
    paths = [
        f"/v1/runs/{run}",
        f"/v1/runs/{run}/explain",
        f"/v1/runs/{run}/events",
        "/v1/runs",
        "/v1/regions",
    ]
    tasks = (await client.get(f"/v1/runs/{run}")).json()["tasks"]
    paths += [f"/v1/runs/{run}/logs?task={task['task']}&shard={task['shard']}" for task in tasks]
    return b"\n".join([(await client.get(path)).content for path in paths])


async def metrics_of(stack: Stack) -> bytes:
    ports = [ready["metrics_port"] for ready in stack.ready.values() if "metrics_port" in ready]
    async with httpx.AsyncClient() as client:
        return b"\n".join([(await client.get(f"http://127.0.0.1:{port}/metrics")).content for port in ports])


async def test_canaries_are_nowhere_but_in_their_tasks(stack: Stack, values: Path) -> None:
    """In no store, journal, log, metric, event, answer, error text or command line, in a run and after."""
    async with caller_of(stack) as client:
        await taking_work(client, REGIONS)
        # Each canary is really printed, written and given to processes that are killed.
        good = await submitted(client, loud("plain", "limited"))
        assert (await ended(client, good))["phase"] == "Succeeded"
        bad = await submitted(client, loud("fails", "plain"))
        failed = await ended(client, bad)
        assert failed["phase"] == "Failed"
        killed = await submitted(client, loud("waits", sideEffects="exclusive"))

        async def running() -> bool:
            return any(stack.state.resolve().rglob("started"))

        await until(running)
        assert seen_in(command_lines()) == []
        assert (await client.post(f"/v1/runs/{killed}/cancel")).is_success
        await ended(client, killed)
        refused = await client.post(
            "/v1/runs", json=loud("plain", secrets=[{"name": "A", "from": "other/key"}])
        )
        assert (refused.status_code, "other/key" in refused.text) == (403, True)

        answers = [await answers_about(client, run) for run in (good, bad, killed)]
        assert b"token ***" in answers[0]
        for text in (*answers, refused.content, await metrics_of(stack)):
            assert seen_in(text) == []
    await asyncio.to_thread(search_files, stack.state, values)


def search_files(state: Path, values: Path) -> None:
    """Asserts that no file of the stack has a canary: stores, journals, logs of tasks and processes."""
    looked_at = 0
    for root in (state, (state / "regions").resolve()):
        for path in root.rglob("*"):
            if path.is_file() and not path.resolve().is_relative_to(values):
                looked_at += 1
                assert seen_in(path.read_bytes()) == [], path
    assert looked_at > 20
