"""Tests a gateway as a process: it starts from its settings, and ends on a signal."""

import asyncio
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from loguru import logger

from gateway.cli.gateway import gateway as gateway_command
from gateway.gateway_process import run_loops
from gateway.identity.development_issuer import mint_token
from observability import logs
from waypost.connections.descriptors import raise_descriptor_limit

pytestmark = pytest.mark.integration

DOCUMENT = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "nightly"},
    "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}]},
}


PORTS = {"WAYPOST_LISTEN__PORT": "0", "WAYPOST_METRICS__PORT": "0"}


class Process:
    """A running gateway process on the files of a folder."""

    def __init__(
        self, folder: Path, *arguments: str, descriptors: tuple[int, int] | None = None, **environment: str
    ) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "gateway", "gateway", "--dev", str(folder / "dev"), *arguments]
        if descriptors is not None:
            command = ["prlimit", "--nofile={}:{}".format(*descriptors), *command]
        store = f"sqlite:{folder / 'gateway.db'}"
        log: IO[bytes]
        with (folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **PORTS, "WAYPOST_STORE": store, **environment},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(line) if line else {}

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def client(self) -> httpx.Client:
        scopes = ("workflows:submit", "workflows:read")
        token = mint_token(self.folder / "dev", subject="ada", tenant="demo", scopes=scopes)
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.ready['port']}",
            headers={"authorization": f"Bearer {token}"},
            timeout=10,
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A gateway for all tests that leave it as it was, at the most talkative level."""
    gateway = Process(tmp_path_factory.mktemp("gateway"), WAYPOST_LOGGING__LEVEL="DEBUG")
    yield gateway
    gateway.end(signal.SIGKILL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []

    def starter(*arguments: str, **environment: Any) -> Process:
        started.append(Process(tmp_path, *arguments, **environment))
        return started[-1]

    yield starter
    for process in started:
        process.end(signal.SIGKILL)


def test_a_promise_outlives_the_process(start: Any) -> None:
    """202 means durable: after kill -9 the run is there, and its key still makes no second one."""
    first = start()
    with first.client() as client:
        accepted = client.post("/v1/runs", json=DOCUMENT, headers={"idempotency-key": "k"})
    first.end(signal.SIGKILL)
    second = start()
    with second.client() as client:
        again = client.post("/v1/runs", json=DOCUMENT, headers={"idempotency-key": "k"})
        runs = client.get("/v1/runs").json()["items"]

    assert (accepted.status_code, again.status_code) == (202, 200)
    assert [run["id"] for run in runs] == [accepted.json()["id"]] == [again.json()["id"]]


def test_it_ends_when_told_even_while_somebody_listens(start: Any) -> None:
    """An open event stream ends cleanly, and so does the process, with 0."""
    gateway = start()
    with gateway.client() as client:
        run = client.post("/v1/runs", json=DOCUMENT).json()["id"]
        with client.stream("GET", f"/v1/runs/{run}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("id:")
            code = gateway.end()
            assert any("Accepted" in line for line in lines)

    assert (code, "ERROR" in gateway.log) == (0, False)


def test_the_inside_port_tells_how_it_is(running: Process) -> None:
    """Ready without regions: what is accepted waits."""
    inside = f"http://127.0.0.1:{running.ready['metrics_port']}"

    assert httpx.get(f"{inside}/livez").status_code == 200
    answer = httpx.get(f"{inside}/readyz?verbose")
    assert (answer.status_code, answer.text.splitlines()[-1]) == (200, "ready")
    assert [line.split(":")[0] for line in answer.text.splitlines()[:-1]] == [
        "[+] store",
        "[+] policy",
        "[+] keys",
        "[+] certificates",
        "[+] regions",
    ]
    assert "waypost_decision_seconds_count" in httpx.get(f"{inside}/metrics").text
    assert httpx.get(f"http://127.0.0.1:{running.ready['port']}/metrics").status_code == 404


def test_a_gateway_whose_disk_is_full_is_not_ready(running: Process) -> None:
    """Reads go on, but no 202 can be given: callers have to go elsewhere until there is room again."""
    ready = f"http://127.0.0.1:{running.ready['metrics_port']}/readyz?verbose"
    before = httpx.get(ready)
    before_limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    with running.client() as client:
        refused = client.post("/v1/runs", json=DOCUMENT)
        during = httpx.get(ready)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, before_limits)
        accepted = client.post("/v1/runs", json=DOCUMENT)
    after = httpx.get(ready)

    assert (refused.status_code, accepted.status_code) == (503, 202)
    assert (before.status_code, during.status_code, after.status_code) == (200, 503, 200)
    assert during.text.startswith("[-] store: the store does not take writes now: nothing was written to ")


def test_two_gateways_on_one_file_are_refused(running: Process) -> None:
    """Each would think that it alone commits."""
    other = Process(running.folder)

    assert other.end() == 1
    assert "in use by another process" in other.log


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({"WAYPOST_STORE": "oracle:x"}, 1, "sqlite:PATH"),
        ({"WAYPOST_HEALT__JITTER": "1"}, 2, "WAYPOST_HEALTH"),
        (
            {"WAYPOST_REGIONS": '[{"name": "beijing", "url": "embedded+https://127.0.0.1:1"}]'},
            1,
            "setting pki is missing",
        ),
        ({"WAYPOST_POLICY__FOLDER": "absent"}, 1, "no rules here"),
        ({"WAYPOST_LISTEN__HOST": "192.0.2.1"}, 1, "cannot listen on"),
    ],
)
def test_a_wrong_setting_stops_the_start(
    environment: dict[str, str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence that names it, and no stack. In this process: the start of one is no part of it."""
    for name, value in ({"WAYPOST_STORE": f"sqlite:{tmp_path / 'gateway.db'}"} | PORTS | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)
    told = io.StringIO()
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    sink = logger.add(told, format="{message}")
    with redirect_stderr(told):
        ended = gateway_command(dev=tmp_path / "dev")
    logger.remove(sink)

    assert ended == code
    assert words in told.getvalue()
    assert "Traceback" not in told.getvalue()


def test_no_token_is_in_the_log(running: Process) -> None:
    """Neither a good one nor a bad one, at the most talkative level."""
    with running.client() as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
        assert client.get("/v1/runs").status_code == 200
        assert client.get("/v1/runs", headers={"authorization": f"Bearer {token}x"}).status_code == 401
        assert client.get(f"/v1/runs?access_token={token}").status_code == 400

    assert not any(part in running.log for part in token.split("."))


@pytest.mark.parametrize(("descriptors", "number"), [((256, 4_096), 600), ((400, 400), 1_100)])
def test_idle_connections_do_not_use_up_the_descriptors(
    start: Any, descriptors: tuple[int, int], number: int
) -> None:
    """Whoever can connect could close the API, and its health too, for everybody.

    The limit is raised where the machine permits it, and where it does not the oldest idle ones are closed,
    on either port.
    """
    raise_descriptor_limit()  # of this process, which holds the other ends
    gateway = start(descriptors=descriptors)
    inside = f"http://127.0.0.1:{gateway.ready['metrics_port']}/livez"
    with gateway.client() as client, ExitStack() as opened:
        for port in (gateway.ready["port"], gateway.ready["metrics_port"]):
            for _ in range(number):
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        statuses = [client.get("/v1/runs").status_code, httpx.get(inside).status_code]
    code = gateway.end()

    assert (statuses, code) == ([200, 200], 0)
    assert "idle ones are closed, oldest first" in gateway.log
    assert ("raise the limit" in gateway.log) == (descriptors[1] < 10_000)


async def test_a_gateway_whose_controller_fails_ends() -> None:
    """With 1, since it would accept runs and never place them; on a signal with 0. No loop goes on."""
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    async def failing() -> None:
        raise RuntimeError("out of memory")

    stop = asyncio.Event()
    assert await run_loops({"controller": failing, "other": endless}, stop) == 1
    stop.set()
    assert await run_loops({"controller": endless}, stop) == 0
    assert ended == ["endless", "endless"]
