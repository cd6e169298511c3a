"""Tests `waypost executors`: what is installed here, what this host can run, and what the regions have."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.__main__ import app
from gateway.cli.errors import Exit
from tests.clusters.installed_package import installed_package


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed_package(tmp_path / "site", monkeypatch):
        yield


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert app(["executors", *words, "-o", "json"], result_action="return_value") == Exit.DONE
    return {item["name"]: item for item in json.loads(capsys.readouterr().out)}


def test_executors_are_listed_with_what_they_take(
    capsys: pytest.CaptureFixture[str], httpserver: HTTPServer
) -> None:
    regions = [
        {"name": "beijing", "executors": ["delay", "faraway"]},
        {"name": "shanghai", "executors": ["delay"]},
    ]
    httpserver.expect_request("/v1/regions").respond_with_json({"items": regions})
    found = listed(capsys, "--url", httpserver.url_for("/"))
    delay = found["delay"]
    assert delay["run"]["$defs"]["DelayRun"]["required"] == ["seconds"]
    assert (delay["exclusive"], delay["available"], delay["regions"]) == (True, True, ["beijing", "shanghai"])
    assert (
        found["process"]["settings"]["$defs"]["ProcessSettings"]["properties"]["grace_seconds"]["default"]
        == 2.0
    )
    shout = found["shout"]
    assert (shout["from"], shout["available"], shout["regions"]) == ("acme-tasks 1.2", True, [])
    assert found["missing"]["reason"].startswith(
        "acme_tasks.nowhere:SHOUT of acme-tasks 1.2 cannot be loaded"
    )
    assert found["faraway"] == {
        "name": "faraway",
        "exclusive": None,
        "from": None,
        "available": False,
        "reason": "it is not installed here",
        "regions": ["beijing"],
        "run": None,
        "settings": None,
    }


def test_without_a_gateway_what_is_installed_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["executors"], result_action="return_value") == Exit.DONE
    out, err = capsys.readouterr()
    assert [line.split()[:1] for line in out.splitlines() if line.startswith(("EXEC", "delay "))]
    assert "http" in out and "egress lists no host" in out
    assert "without the regions: no gateway is known here" in err


def test_availability_follows_from_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert not listed(capsys)["http"]["available"]
    found = listed(capsys, "http", '--executor.http.egress=["api.example.com"]')
    assert list(found) == ["http"]
    assert found["http"]["available"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nothing"], Exit.NOT_FOUND, "there is no executor nothing"),
        (["--executor.http.egres=x"], Exit.USAGE, "did you mean egress"),
        (["--executor.httpd.egress=x"], Exit.USAGE, "there is no executor httpd"),
    ],
)
def test_a_wrong_name_is_an_error_that_helps(
    capsys: pytest.CaptureFixture[str], words: list[str], code: Exit, text: str
) -> None:
    assert app(["executors", *words], result_action="return_value") == code
    assert text in " ".join(capsys.readouterr().err.split())


def test_one_executor_is_shown_with_its_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["executors", "http"], result_action="return_value") == Exit.DONE
    out = capsys.readouterr().out
    assert "expectedStatus:" in out
    assert "connect_seconds:" in out


@pytest.mark.parametrize("output", ["table", "name"])
def test_what_a_region_calls_its_executors_does_not_reach_the_terminal_as_a_command(
    capsys: pytest.CaptureFixture[str], httpserver: HTTPServer, output: str
) -> None:
    attack = "x\x1b[31mred\u202e"
    items = [{"name": attack, "executors": [attack]}]
    httpserver.expect_request("/v1/regions").respond_with_json({"items": items})
    words = ["executors", "--url", httpserver.url_for("/"), "-o", output]
    assert app(words, result_action="return_value") == Exit.DONE
    out = capsys.readouterr().out
    assert "x\\x1b[31mred\\u202e" in out
    assert not {"\x1b", "\u202e"} & set(out)
