"""Tests the logs of all tasks of a run, printed or followed together."""

from typing import Any

import httpx
import msgspec
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.logs.all_logs import follow_all_logs
from gateway.cli.logs.log_request import LogOptions
from gateway.cli.logs.logs import logs
from tests.gateway.cli.runs.answers import run, task


def served(httpserver: HTTPServer) -> str:
    """Serves a run of two shards: `a`, `b` and the instance of `e` have written, `c` and `d` have not."""
    tasks = [
        task("b") | {"started_at": 2.0},
        task("a") | {"started_at": 1.0},
        task("c", "Failed") | {"started_at": 3.0},
        task("d", "Skipped") | {"started_at": 0.0},
        task("e") | {"started_at": 5.0, "instances": 1},
        task("e[0]") | {"started_at": 5.0},
        task("a") | {"shard": 1, "started_at": 4.0},
    ]
    found = run("r1") | {"shards": [], "tasks": tasks, "tasks_left_out": 7}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    for name, shard, text in (
        ("a", "0", "one\ntwo\n"),
        ("b", "0", "no newline"),
        ("a", "1", "three\n"),
        ("e[0]", "0", "four\n"),
    ):
        httpserver.expect_request(
            "/v1/runs/r1/logs", query_string={"task": name, "shard": shard}
        ).respond_with_data(text)
    httpserver.expect_request("/v1/runs/r1/logs", query_string={"task": "c", "shard": "0"}).respond_with_json(
        {"title": "NotFound", "detail": "no log"}, status=404
    )
    return httpserver.url_for("")


def test_each_line_is_printed_behind_its_task(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of their starts. A task without a log is passed over."""
    assert logs("r1", every=True, url=served(httpserver), token="t") == Exit.DONE
    said = capsys.readouterr()

    assert said.out.splitlines() == [
        "[0/a] one",
        "[0/a] two",
        "[0/b] no newline",
        "[1/a] three",
        "[0/e[0]] four",
    ]
    assert "7 more tasks are left out" in said.err


def test_one_shard_and_a_part_of_each_log(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each log; the gateway cuts them, and writes the times."""
    url = served(httpserver)
    part = {"tail": "1", "since": "60", "timestamps": "true", "attempt": "3", "shard": "0"}
    for name in ("a", "b", "c", "e[0]"):
        asked = httpserver.expect_request("/v1/runs/r1/logs", query_string=part | {"task": name})
        asked.respond_with_data(f"12:00 {name}\n")
    options: dict[str, Any] = {"tail": 1, "since": "1970-01-01T00:01Z", "timestamps": True, "attempt": 3}
    assert logs("r1", every=True, shard="0", **options, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "[0/a] 12:00 a",
        "[0/b] 12:00 b",
        "[0/c] 12:00 c",
        "[0/e[0]] 12:00 e[0]",
    ]
    assert logs("r1", every=True, shard="5", url=url, token="t") == Exit.NOT_FOUND


def test_one_task_or_all() -> None:
    """Not both."""
    assert logs("r1", "a", every=True, url="http://unused", token="t") == Exit.USAGE


class Gateway:
    """A fake gateway that shows the tasks of a run, and their logs, as they are at each look at the run."""

    def __init__(self, *looks: tuple[str, dict[str, tuple[str, int, str]]]) -> None:
        self.looks = list(looks)
        self.now = self.looks[0]
        self.asked: list[tuple[str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/logs"):
            self.now = self.looks.pop(0)
            phase, tasks = self.now
            rows = [
                task(name, tasks[name][0], at=float(at)) | {"epoch": tasks[name][1]}
                for at, name in enumerate(tasks)
            ]
            return httpx.Response(200, json=run("r") | {"phase": phase, "tasks": rows})
        query = request.url.params
        self.asked.append((query["task"], query["offset"]))
        _, epoch, written = self.now[1][query["task"]]
        text = written[int(query["offset"]) :]
        if not written:
            return httpx.Response(404, json={"detail": "no log"})
        line = {"region": "b", "epoch": epoch, "text": text, "offset": len(written), "written_at": 0.5}
        return httpx.Response(200, content=msgspec.json.encode(line) + b"\n" if text else b"")

    def follow(self, **options: Any) -> None:
        transport = httpx.MockTransport(self.answer)
        with httpx.Client(transport=transport, base_url="http://gateway.test") as client:
            follow_all_logs(client, "r", shard=None, options=LogOptions(**options))


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.logs.all_logs.POLL_SECONDS", 0.0)


def test_all_logs_are_followed_line_by_line_until_the_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is printed when it is whole, so that no other stands in it; what is over is not read again."""
    gateway = Gateway(
        ("Running", {"a": ("Running", 1, "one\ntw")}),
        ("Running", {"a": ("Succeeded", 1, "one\ntwo\n"), "b": ("Running", 1, "")}),
        ("Running", {"a": ("Succeeded", 1, "one\ntwo\n"), "b": ("Running", 1, "x")}),
        ("Succeeded", {"a": ("Succeeded", 1, "one\ntwo\n"), "b": ("Succeeded", 1, "xyz")}),
    )
    gateway.follow()
    assert capsys.readouterr().out.splitlines() == ["[0/a] one", "[0/a] two", "[0/b] xyz"]
    assert gateway.asked == [("a", "0"), ("a", "6"), ("b", "0"), ("b", "0"), ("b", "1")]


def test_a_followed_log_of_another_attempt_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """Behind the line that the lost attempt has left; with times where they were asked for."""
    gateway = Gateway(
        ("Running", {"a": ("Running", 1, "lost")}),
        ("Succeeded", {"a": ("Succeeded", 2, "done\n")}),
    )
    gateway.follow(timestamps=True)
    time = "1970-01-01T00:00:00.500Z"
    assert capsys.readouterr().out.splitlines() == [f"[0/a] {time} lost", f"[0/a] {time} done"]


def test_the_logs_of_one_attempt_end_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What the next one writes was not asked for."""
    gateway = Gateway(
        ("Running", {"a": ("Running", 1, "one\n")}),
        ("Running", {"a": ("Running", 2, "one\n")}),
    )
    gateway.follow(attempt=1)
    assert capsys.readouterr().out == "[0/a] one\n"
