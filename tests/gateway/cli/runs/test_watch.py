"""Tests following a run over an event stream, also through restarts of the gateway."""

import json
import time
from collections.abc import Iterator
from io import StringIO
from threading import Event
from typing import Any

import httpx
import pytest
from rich.console import Console

from gateway.cli.arguments import Format
from gateway.cli.errors import CliError, Exit
from gateway.cli.runs.watch import _live_view, follow


def entry(seq: int, kind: str) -> dict[str, Any]:
    return {"seq": seq, "run": "r", "shard": None, "kind": kind, "at": 0.0, "actor": "", "detail": {}}


def stream(*entries: dict[str, Any]) -> httpx.Response:
    events = ": ping - 2026-01-01\n\n".join(
        f"id: {e['seq']}\nevent: {e['kind']}\ndata: {json.dumps(e)}\n\n" for e in entries
    )
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=f"{events}: ping\n\n")


class Gateway:
    """A fake gateway whose run is over once all of `streams` have been sent."""

    def __init__(self, *streams: httpx.Response | Exception, end: str = "Succeeded") -> None:
        self.streams, self.end, self.asked = list(streams), end, [""]

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            return httpx.Response(
                200, json={"id": "r", "name": "n", "phase": self.end if not self.streams else "Running"}
            )
        self.asked.append(request.headers.get("last-event-id", ""))
        following = self.streams.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self.answer), base_url="http://gateway.test")


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.runs.watch.REFRESH_SECONDS", 0.0)


def test_a_heartbeat_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    """It comes whenever nothing has happened for a while, and holds nothing."""
    assert follow(Gateway(stream(entry(1, "Accepted"), entry(2, "Placed"))).client(), "r") == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["Accepted", "Placed"]
    assert lines[2] == "r  Succeeded"


def test_a_broken_stream_goes_on_where_it_broke(capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway that is started again is waited for, and nobody sees the machinery."""
    gateway = Gateway(
        stream(entry(1, "Accepted")), httpx.ConnectError("gone"), stream(entry(2, "Placed")), end="Failed"
    )
    assert follow(gateway.client(), "r") == Exit.FAILED
    printed = capsys.readouterr()
    assert gateway.asked[1:] == ["", "1", "1"]
    assert printed.err == "the gateway does not answer; trying again\n"
    assert printed.out.count("Accepted") == 1


def test_for_a_program_only_the_end_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """One document, nothing before it."""
    assert follow(Gateway(stream(entry(1, "Accepted"))).client(), "r", Format.JSON) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["phase"] == "Succeeded"


def test_a_line_repeats_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """`Failed Failed beijing` says no more than `Failed beijing`; and no line ends with a blank."""
    failed = entry(2, "Failed") | {"shard": 0, "detail": {"to": "Failed", "region": "beijing"}}
    assert follow(Gateway(stream(entry(1, "Accepted"), failed), end="Failed").client(), "r") == Exit.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:] for line in lines[:2]] == ["Accepted", "shard 0 Failed beijing"]


@pytest.mark.parametrize("data", ["no json", "[]", '{"seq": 1}'])
def test_a_stream_of_something_else_ends_the_following(data: str) -> None:
    """Whatever goes wrong while listening, nobody waits for ever."""
    other = httpx.Response(200, headers={"content-type": "text/event-stream"}, text=f"data: {data}\n\n")
    with pytest.raises(CliError, match="is the URL right"):
        follow(Gateway(other).client(), "r")


def test_a_mistake_of_ours_ends_the_following_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised where it can be seen."""
    monkeypatch.setattr("gateway.cli.runs.watch._event_stream", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        follow(Gateway(stream()).client(), "r")


def test_a_watch_ends_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that waits for a run must not wait for ever; the run goes on."""
    reading = Event()

    class Silent(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            reading.wait()
            yield b""

    silent = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Silent())
    with pytest.raises(CliError, match="not ended in time: it is Running") as late:
        follow(Gateway(silent, stream()).client(), "r", ends_at=time.monotonic() + 0.01)
    reading.set()
    assert late.value.code == Exit.FAILED
    assert (
        follow(Gateway(stream(entry(1, "Accepted"))).client(), "r", ends_at=time.monotonic() + 60)
        == Exit.DONE
    )


@pytest.mark.parametrize("kind", ["Lost", "Refused", "Unreadable", "RegionBack", "SomethingNew"])
def test_the_live_view_shows_whatever_its_table_cannot(kind: str) -> None:
    """With a list of kinds to show, an end that nobody had thought of was not seen."""
    run = {"id": "r", "name": "n", "phase": "Running", "shard_count": 1, "task_phases": {}, "tasks": []}
    run |= {"workflow": {"spec": {"tasks": [{}]}}, "shards": []}
    shown = Console(width=100, file=StringIO())
    shown.print(_live_view(run, [entry(1, "Intended"), entry(2, kind), entry(3, "Confirmed")]))

    assert isinstance(shown.file, StringIO)
    assert [kind in line for line in shown.file.getvalue().splitlines()[-1:]] == [True]


def test_a_line_about_a_failed_try_says_why_and_when_the_next_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    detail = {"task": "a", "phase": "Retrying", "tries": 1, "reason": "exit code 75", "next_try_at": 3_600.0}
    retrying = entry(1, "TaskRetrying") | {"shard": 0, "detail": detail}
    assert follow(Gateway(stream(retrying)).client(), "r") == Exit.DONE
    at = time.strftime("%H:%M:%S", time.localtime(3_600.0))
    line = capsys.readouterr().out.splitlines()[0]
    assert line[9:] == f"shard 0 TaskRetrying a Retrying exit code 75 try 2 at {at}"
