"""Tests the checks of `waypost up` before it starts anything."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.cli.dev.faulty_proxy import Proxy
from gateway.cli.dev.permitted_regions import nowhere_permitted
from gateway.cli.dev.stack import Stack
from gateway.cli.dev.up import _up, up
from gateway.cli.errors import Exit
from tests.gateway.cli.dev.idle_process import idle_process
from waypost.files.permissions import write_private


class EmptyStack(Stack):
    """A stack whose gateway is only an idle process."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        write_private(self.configuration, b"")
        self.started, self.printed, self.ended = asyncio.Event(), asyncio.Event(), False

    def start_command(self, name: str) -> list[str]:
        self.printed.set()
        return super().start_command(name)

    async def __aenter__(self) -> Self:
        self.processes["gateway"] = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        self.ready["gateway"] = {"port": 1, "metrics_port": 2}
        for name in self.regions:
            self.ready[name] = {"metrics_port": 4711}
            self.proxies[name] = Proxy(target_host="127.0.0.1", target_port=1)
            self.processes[name] = self.processes["gateway"]
        self.started.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ended = True
        with contextlib.suppress(ProcessLookupError):
            self.processes["gateway"].terminate()
        await self.processes["gateway"].wait()


@pytest.fixture(autouse=True)
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def stack(*_: object, **__: object) -> None:
        pytest.fail("something was started")

    monkeypatch.setattr("gateway.cli.dev.up.Stack", stack)


@pytest.mark.parametrize("regions", [("a", "a"), ("a b",), ("gateway",), ("opa",), ("",)])
def test_regions_have_names_of_their_own(
    regions: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster that another of the same name replaced would never be stopped."""
    assert up(state=tmp_path / "s", region=regions) == Exit.USAGE
    assert "--region" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_second_stack_does_not_touch_the_folder_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--fresh` would take the store away from under it."""
    (tmp_path / "gateway.db").write_text("kept")
    first = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    try:
        assert up(state=tmp_path, fresh=True) == Exit.UNAVAILABLE
    finally:
        os.close(first)
    printed = capsys.readouterr().err
    assert "a stack already runs" in printed and "Ctrl-C" in printed
    assert (tmp_path / "gateway.db").read_text() == "kept"


@pytest.mark.parametrize(("option", "name"), [("port", "--port"), ("metrics_port", "--metrics-port")])
def test_a_port_that_is_taken_is_reported_with_the_option_that_helps(
    option: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instead of "gateway did not start"."""
    ports: dict[str, Any] = {"port": 0, "metrics_port": 0}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert up(state=tmp_path, **ports | {option: port}) == Exit.UNAVAILABLE
    message, holder, advice = capsys.readouterr().err.splitlines()
    assert message == f"error: port {port} is taken: choose another with {name}"
    assert (f"process {os.getpid()}" in holder, f"kill {os.getpid()}" in advice) == (True, True)


@pytest.mark.integration
def test_processes_of_a_killed_stack_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their `up` is gone, and so is what would end them; `--fresh` must not empty the folder below them."""
    (tmp_path / "gateway.db").write_text("kept")
    with idle_process("gateway", str(tmp_path / "gateway.toml")) as left:
        assert up(state=tmp_path, fresh=True) == Exit.UNAVAILABLE
    printed = capsys.readouterr().err
    assert f"process {left.pid}: " in printed and f"`kill {left.pid}`" in printed
    assert (tmp_path / "gateway.db").read_text() == "kept"


@pytest.mark.integration
@pytest.mark.parametrize("locked", [False, True])
def test_what_is_said_to_end_a_stopped_process_ends_it(
    locked: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After Ctrl-Z in the terminal of `up`, or where a region was stopped: SIGTERM alone waits for `fg`."""
    with idle_process("gateway", str(tmp_path / "gateway.toml")) as left:
        left.send_signal(signal.SIGSTOP)
        os.waitpid(left.pid, os.WUNTRACED)
        folder = os.open(tmp_path, os.O_RDONLY)
        if locked:
            (tmp_path / "up.pid").write_text(str(left.pid))
            fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            assert up(state=tmp_path) == Exit.UNAVAILABLE
            printed = capsys.readouterr().err
            assert f"process {left.pid}, which is stopped" in printed
            (command,) = re.findall("`(kill [^`]*)`", printed)
            subprocess.run(["sh", "-c", command], check=True, timeout=10)
            assert left.wait(10) == -signal.SIGTERM
        finally:
            os.close(folder)
            left.send_signal(signal.SIGCONT)


@pytest.mark.integration
@pytest.mark.parametrize(
    "words",
    [
        ("gateway", "--config", "gateway.toml"),
        ("cluster", "--state", "{}/regions/beijing"),
        ("run", "--server", "--config-file", "{}/opa/config.json"),
    ],
)
def test_processes_that_were_started_again_by_hand_are_named(
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They outlive their `up` and hold journal or socket, as a line such as the one that it printed."""
    monkeypatch.chdir(tmp_path)
    with idle_process(*(word.format(tmp_path) for word in words)) as left:
        assert up(state=tmp_path) == Exit.UNAVAILABLE
    assert f"End them with `kill {left.pid}`" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
async def test_a_closed_terminal_ends_the_stack(number: signal.Signals, tmp_path: Path) -> None:
    """Else gateway and regions would run for ever: they have sessions of their own."""
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored
    try:
        stack = EmptyStack(tmp_path, ())
        running = asyncio.create_task(_up(stack))
        await stack.started.wait()
        os.kill(os.getpid(), number)
        await running
    finally:
        signal.signal(number, before)
    assert stack.ended


@pytest.mark.integration
async def test_it_says_where_the_metrics_of_each_process_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Prometheus is pointed at them; those of regions are new at each start."""
    stack = EmptyStack(tmp_path, ("beijing",))
    running = asyncio.create_task(_up(stack))
    await stack.started.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    printed = capsys.readouterr().out
    assert "http://127.0.0.1:2 " in printed and "http://127.0.0.1:4711 " in printed


@pytest.mark.integration
async def test_a_gateway_that_dies_can_be_started_again_beside_its_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The regions are reached through this process: if it ended too, there would be nothing to start for.

    Started in a terminal without the settings that `up` had it would refuse alerts, and roll nothing back.
    """
    monkeypatch.setenv("WAYPOST_ROLLBACK__ALERTS_TOKEN", "quiet")
    monkeypatch.setenv("WAYPOST_TOKEN", "quiet")
    stack = EmptyStack(tmp_path, ())
    running = asyncio.create_task(_up(stack))
    await stack.started.wait()
    stack.kill("gateway")
    await stack.printed.wait()
    assert not stack.ended
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    printed = capsys.readouterr().out
    assert f"again with: waypost gateway --config {stack.configuration}" in printed
    assert "in a terminal that has its settings: WAYPOST_ROLLBACK__ALERTS_TOKEN\n" in printed
    assert "quiet" not in printed


def test_without_an_opa_it_says_how_one_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine must not decide in its place without a word."""
    monkeypatch.setattr("gateway.cli.dev.up.find_opa", lambda: None)
    assert up(state=tmp_path, port=0, metrics_port=0, opa=True) == Exit.USAGE
    assert "there is no opa of version 1.21.3 or newer on PATH" in (said := capsys.readouterr().err)
    assert "`make opa`" in said


def test_two_servers_want_two_ports(tmp_path: Path) -> None:
    """Both are free, but not twice."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert up(state=tmp_path, port=port, metrics_port=port) == Exit.USAGE


def test_a_folder_that_cannot_be_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file stands where it should be."""
    (tmp_path / "file").write_text("")
    assert up(state=tmp_path / "file") == Exit.USAGE
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tenants", "warned"),
    [
        ({"a": {"regions": ["beijing"]}}, True),
        ({"a": {"regions": ["beijing"]}, "b": {"regions": ["solo"]}}, False),
        ({}, True),
        (5, False),
    ],
)
def test_a_policy_that_permits_none_of_the_regions_is_told_at_the_start(
    tenants: object, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run would be accepted and wait for ever."""
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"tenants": tenants}))
    monkeypatch.setenv("WAYPOST_POLICY__DATA", str(data))

    found = nowhere_permitted(("solo",), None)
    assert (found is not None and str(data) in found) == warned


def test_the_shipped_policy_knows_the_default_regions_alone() -> None:
    assert nowhere_permitted(("solo",), None) is not None
    assert nowhere_permitted(("solo", "beijing"), None) is None
