"""Tests that secrets of `http` and `docker` tasks and of webhooks are nowhere but where they are to be.

Beside `test_secrets.py`, which looks for those of processes in the same places.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.dev.stack import Stack
from tests.clusters.embedded.executors.docker.engines import RealEngine, started
from tests.integration.conftest import caller_of
from tests.integration.test_secrets import (
    CANARY,
    KEY_CANARY,
    answers_about,
    command_lines,
    metrics_of,
    search_files,
    seen_in,
)
from tests.integration.waiting import ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.xdist_group("engines")]
REGION = "beijing"
DATA = Path(__file__).parents[2] / "policies" / "data.json"
SIGNING_KEY = "linnets-on-the-wire-5d20"
HOOK_PATH = "wagtails-by-the-weir-77e1"
"""The path of a webhook, which may be all that keeps others from calling it."""
SPEAKING = """
cat "$WAYPOST_SECRETS/TOKEN"; cat "$WAYPOST_SECRETS/KEY" >&2; echo "again $(cat "$WAYPOST_SECRETS/TOKEN")"
"""
WRITING = SPEAKING + """echo "{\\"a\\": \\"$(cat "$WAYPOST_SECRETS/TOKEN")\\"}" > "$WAYPOST_OUTPUT" """
BROKEN = SPEAKING + """echo "$(cat "$WAYPOST_SECRETS/TOKEN")" > "$WAYPOST_OUTPUT" """
WAITING = SPEAKING + """touch "$WAYPOST_WORKSPACE/started"; sleep 60"""


@pytest.fixture
def values(tmp_path: Path) -> Path:
    folder = tmp_path / "values"
    (folder / "demo").mkdir(parents=True)
    (folder / "demo" / "token").write_text(CANARY)
    (folder / "demo" / "key").write_text(KEY_CANARY)
    return folder


@pytest.fixture(scope="module")
def engine() -> Iterator[RealEngine]:
    folder = Path(tempfile.mkdtemp(prefix="wp-"))
    try:
        running = started("docker", folder / "docker")
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def calling(tmp_path: Path, values: Path) -> AsyncIterator[Stack]:
    """A stack whose tasks call this machine, and whose gateway does."""
    data = json.loads(DATA.read_text())
    data["tenants"]["demo"]["notify"] = ["127.0.0.1"]
    (tmp_path / "data.json").write_text(json.dumps(data))
    settings = {
        "WAYPOST_NOTIFICATIONS__EGRESS": '["127.0.0.0/8:*"]',
        "WAYPOST_NOTIFICATIONS__KEY": SIGNING_KEY,
        "WAYPOST_POLICY__DATA": str(tmp_path / "data.json"),
    }
    executors = {"http": {"egress": '["127.0.0.0/8:*"]'}}
    async with Stack(
        tmp_path / "stack", [REGION], settings=settings, secrets=values, executors=executors
    ) as stack:
        yield stack


def document(tasks: list[dict[str, Any]], form: str, **spec: Any) -> dict[str, Any]:
    secrets = [{"name": name, "from": f"demo/{name.lower()}", "as": form} for name in ("TOKEN", "KEY")]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "elsewhere"},
        "spec": {"tasks": tasks, "secrets": secrets, "failFast": False} | spec,
    }


def repeating(request: Request) -> Response:
    """Answers with the secret that was sent, in the way that the path says."""
    token = request.headers.get("authorization", "")
    match request.path:
        case "/output":
            return Response(json.dumps({"got": token}), content_type="application/json")
        case "/redirect":
            return Response(status=302, headers={"location": f"http://127.0.0.1:1/?{token}"})
        case "/elsewhere":
            return Response(status=307, headers={"location": f"http://{token.replace('/', '')}.example/"})
        case "/type":
            return Response(token.encode(), content_type=f"text/plain; charset={token}")
        case _:
            return Response(token, status=500)


async def test_secrets_of_requests_and_webhooks_are_nowhere_else(
    calling: Stack, values: Path, httpserver: HTTPServer
) -> None:
    """Hosts repeat them in bodies, types and redirects; one is no header; the webhook's path and key are two
    more."""
    httpserver.expect_request(f"/{HOOK_PATH}").respond_with_data("no", status=500)
    for path in ("/output", "/redirect", "/elsewhere", "/type", "/fails"):
        httpserver.expect_request(path).respond_with_handler(repeating)
    base = f"http://127.0.0.1:{httpserver.port}"
    authorization = {"Authorization": {"secret": "TOKEN"}}
    tasks = [
        {"name": name, "type": "http", "run": {"url": f"{base}/{name}", "headersFrom": authorization}}
        for name in ("output", "redirect", "elsewhere", "type", "fails")
    ]
    unusable = {"url": f"{base}/fails", "headersFrom": {"X-Key": {"secret": "KEY"}}}
    tasks.append({"name": "unusable", "type": "http", "run": unusable})
    async with caller_of(calling) as client:
        await taking_work(client, [REGION])
        run = await submitted(client, document(tasks, "env", notify=[{"url": f"{base}/{HOOK_PATH}"}]))
        assert (await ended(client, run))["phase"] == "Failed"

        async def notified() -> bool:
            return any(request.path == f"/{HOOK_PATH}" for request, _ in httpserver.log)

        await until(notified)
        answers = await answers_about(client, run)
        metrics = await metrics_of(calling)
    sent = [request.headers.get("authorization") for request, _ in httpserver.log]
    assert sent.count(CANARY) >= 5
    hooks = [request for request, _ in httpserver.log if request.path == f"/{HOOK_PATH}"]
    for text in (answers, metrics, command_lines(), *(hook.get_data() for hook in hooks)):
        assert seen_in(text) == []
        assert SIGNING_KEY.encode() not in text
    for text in (metrics, command_lines(), logs_of(calling)):
        assert HOOK_PATH.encode() not in text
    await asyncio.to_thread(search_files, calling.state, values)
    assert all(SIGNING_KEY.encode() not in path.read_bytes() for path in files_of(calling))


def files_of(stack: Stack) -> list[Path]:
    return [path for path in stack.state.rglob("*") if path.is_file()]


def logs_of(stack: Stack) -> bytes:
    return b"\n".join(path.read_bytes() for path in (stack.state / "logs").iterdir())


async def test_secrets_of_containers_are_nowhere_else(
    engine: RealEngine, tmp_path: Path, values: Path
) -> None:
    """Not in what the engine knows or keeps either, while they run and after."""

    def container(name: str, script: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "docker",
            "run": {"image": engine.image, "command": ["sh", "-c", script]},
        }

    scripts = {"prints": SPEAKING, "writes": WRITING, "broken": BROKEN, "fails": f"{SPEAKING} exit 3"}
    tasks = [container(name, script) for name, script in scripts.items()]
    executors = {"docker": {"socket": engine.socket}}
    async with (
        Stack(tmp_path / "stack", [REGION], secrets=values, executors=executors) as stack,
        caller_of(stack) as client,
    ):
        await taking_work(client, [REGION])
        run = await submitted(client, document(tasks, "file"))
        assert (await ended(client, run))["phase"] == "Failed"
        variables = await submitted(client, document([container("variable", "env")], "env"))
        assert (await ended(client, variables))["phase"] == "Failed"
        killed = await submitted(client, document([container("waits", WAITING)], "file"))

        async def running() -> bool:
            return any(stack.state.resolve().rglob("started"))

        await until(running)
        known = json.dumps(
            [engine.call("GET", f"/containers/{one['Id']}/json").json() for one in left(engine)]
        )
        assert left(engine) != []
        assert seen_in(known.encode() + command_lines()) == []
        assert (await client.post(f"/v1/runs/{killed}/cancel")).is_success
        await ended(client, killed)
        answers = [await answers_about(client, one) for one in (run, variables, killed)]
        assert b"again ***" in answers[0]
        for text in (*answers, await metrics_of(stack), command_lines()):
            assert seen_in(text) == []
        assert left(engine) == []
    await asyncio.to_thread(search_files, stack.state, values)
    assert [path for path in engine.folder.rglob("*") if path.is_file() and seen_in(read(path))] == []


def left(engine: RealEngine) -> list[dict[str, Any]]:
    return engine.containers("waypost.workspaces")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
