"""Tests arguments that users of kubectl, argo and docker type out of habit, and the hints for them."""

import io
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_httpserver import HTTPServer

from gateway.__main__ import app
from gateway.cli import documents
from gateway.identity.development_issuer import development_issuer
from tests.gateway.cli.runs.answers import run

ID, OTHER = "01a21051513d764e64a3d1414f5f", "01b21051513d764e64a3d1414f5f"


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        app([*words])
    return int(end.value.code or 0)


def at(server: HTTPServer) -> tuple[str, ...]:
    return ("--url", server.url_for(""), "--token", "t")


@pytest.mark.parametrize("option", ["-l", "--selector", "--label"])
@pytest.mark.parametrize("phase", ["running", "RUNNING", "Running"])
def test_runs_are_filtered_as_kubectl_does(option: str, phase: str, httpserver: HTTPServer) -> None:
    """A phase has no case for people."""
    query = {"label": "team=data", "phase": "Running", "limit": "50"}
    httpserver.expect_request("/v1/runs", query_string=query).respond_with_json({"items": []})
    assert ended("runs", option, "team=data", "--phase", phase, *at(httpserver)) == 0


@pytest.mark.parametrize("option", [("-q",), ("-o", "name")], ids=" ".join)
def test_lists_give_names_alone(
    option: tuple[str, ...], httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """For `waypost cancel $(waypost runs -q)`."""
    httpserver.expect_request("/v1/runs").respond_with_json({"items": [run(ID), run(OTHER)]})
    httpserver.expect_request("/v1/regions").respond_with_json({"items": [{"name": "b"}, {"name": "c"}]})
    assert ended("runs", *option, *at(httpserver)) == 0
    assert capsys.readouterr().out == f"{ID}\n{OTHER}\n"
    assert ended("regions", *option, *at(httpserver)) == 0
    assert capsys.readouterr().out == "b\nc\n"


def test_watching_ends_in_time(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The run goes on, and the exit code says that it has not succeeded."""
    httpserver.expect_request(f"/v1/runs/{ID}").respond_with_json(run(ID) | {"phase": "Running"})
    events = {"content-type": "text/event-stream"}
    httpserver.expect_request(f"/v1/runs/{ID}/events").respond_with_data(": ping\n\n", headers=events)
    assert ended("watch", ID, "--timeout", "0.2", *at(httpserver)) == 1
    assert f"{ID} has not ended in time: it is Running, and goes on" in capsys.readouterr().err


def test_version_and_help_are_commands_too(capsys: pytest.CaptureFixture[str]) -> None:
    """As well as options."""
    assert ended("version") == 0
    assert capsys.readouterr().out == f"{version('waypost')}\n"
    assert ended("help") == 0
    assert "Exit codes" in capsys.readouterr().out
    assert ended("help", "audit", "list") == 0
    assert "--actor" in capsys.readouterr().out


def test_several_runs_are_watched_in_turn(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code says whether all of them succeeded."""
    for name, phase in ((ID, "Failed"), (OTHER, "Succeeded")):
        httpserver.expect_request(f"/v1/runs/{name}").respond_with_json(run(name) | {"phase": phase})
    assert ended("watch", ID, OTHER, *at(httpserver)) == 1
    assert capsys.readouterr().out == f"{ID}  Failed\n{OTHER}  Succeeded\n"
    assert ended("watch", OTHER, OTHER, *at(httpserver)) == 0


def test_one_shard_is_described(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a thousand."""
    shard = {"phase": "Succeeded", "region": "b", "epoch": 1, "failovers": 0, "attempts_lost": 0}
    shards = [shard | {"index": index, "orphans": [], "reason": f"of {index}"} for index in range(3)]
    found = run(ID) | {"permitted": [], "shards": shards, "tasks": [], "tasks_left_out": 0}
    found |= {"workflow": {"spec": {"tasks": []}}}
    httpserver.expect_request(f"/v1/runs/{ID}", query_string={"shard": "1"}).respond_with_json(found)
    assert ended("describe", ID, "--shard", "1", *at(httpserver)) == 0
    out = capsys.readouterr().out
    assert ["of 0" in out, "of 1" in out, "of 2" in out] == [False, True, False]


@pytest.mark.parametrize("name", ["@lastest", "@LATEST", "@last", "@"])
@pytest.mark.parametrize("command", ["describe", "cancel", "logs", "watch"])
def test_a_misspelt_latest_is_told(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`there is no such run` would be true and of no help."""
    assert ended(command, name, "--url", "http://127.0.0.1:9", "--token", "t") == 2
    assert f"{name} names no run: did you mean @latest?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("bogus", "Waypost knows no scope bogus; there are workflows:submit"),
        ("workflows:raed", "did you mean workflows:read?"),
        ("workflows:read bogus", "no scope bogus"),
        ("workflows:read", ""),
    ],
)
def test_a_scope_that_is_none_is_warned_of(
    scope: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token is made all the same: rules of somebody's own might want it."""
    development_issuer(tmp_path)
    assert ended("token", "mint", "--dev", "--folder", str(tmp_path), "--scope", scope) == 0
    out, err = capsys.readouterr()
    assert out.count(".") == 2
    assert said in err and bool(said) == bool(err)


@pytest.mark.parametrize(
    ("name", "code"), [("zz", 4), ("01c", 4), ("01", 2), ("01a", 0), (ID, 0), ("@latst", 2), ("", 4)]
)
def test_acts_are_listed_by_a_run_that_is_known(name: str, code: int, httpserver: HTTPServer) -> None:
    """A part of an id that is taken for a whole one finds nothing, without a word."""

    httpserver.expect_request("/v1/audit", query_string={"run": ID, "limit": "50"}).respond_with_json(
        {"items": []}
    )
    for prefix, found in (("01c", []), ("01", [run(ID), run(OTHER)]), ("01a", [run(ID)])):
        query = {"id": prefix, "limit": "6"}
        httpserver.expect_request("/v1/runs", query_string=query).respond_with_json({"items": found})
    assert ended("audit", "list", "--run", name, *at(httpserver)) == code


class Endless(io.RawIOBase):
    """An endless input stream like the output of `yes`, which counts the bytes that were read."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        assert size >= 0, "read to an end that never comes"
        self.taken += size
        return b"y" * size


@pytest.mark.parametrize("words", [("submit", "-f", "/dev/stdin"), ("convert", "/dev/stdin")], ids=str)
def test_input_without_an_end_is_not_read_to_it(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`yes | waypost submit -` would fill the memory of the machine."""
    monkeypatch.setattr(documents, "READ_MAXIMUM", 1_048_576)
    endless = Endless()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=endless))
    assert ended(*words) == 2
    assert "has more than 1 MiB, which no gateway takes" in capsys.readouterr().err
    assert endless.taken == 1_048_577
