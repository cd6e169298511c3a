"""Tests which hosts `http` tasks call: by names that resolve elsewhere, by URLs that are none, by no list."""

import socket
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from clusters.embedded.executors.http.executor import HttpSettings, unavailable
from clusters.embedded.executors.interface import ExecutorContext
from clusters.embedded.scheduling.launch import Outcome
from tests.clusters.embedded.executors.http.test_http import called


async def test_a_name_is_resolved_once_and_its_checked_address_called(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second lookup could lead to another address (DNS rebinding)."""
    httpserver.expect_request("/", headers={"host": f"api.test:{httpserver.port}"}).respond_with_data("here")
    looked_up: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("waypost.egress.checked_connections.socket.getaddrinfo", rebinding)
    url = f"http://api.test:{httpserver.port}/"
    outcome = await called(tmp_path, {"url": url}, "api.test:*", "127.0.0.0/8:*")
    assert outcome == Outcome(succeeded=True, output="here")
    assert looked_up == ["api.test"]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:7f00:1"])
async def test_a_permitted_name_does_not_lead_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def inside(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("waypost.egress.checked_connections.socket.getaddrinfo", inside)
    outcome = await called(tmp_path, {"url": "http://api.test/"}, "*:*")
    assert outcome.final
    assert address not in outcome.reason
    assert "api.test has an address that is not public" in outcome.reason


async def test_a_host_that_is_not_listed_is_not_even_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name would carry data to whoever answers for it."""

    def never(*_: Any, **__: Any) -> list[Any]:
        raise AssertionError

    monkeypatch.setattr("waypost.egress.checked_connections.socket.getaddrinfo", never)
    outcome = await called(tmp_path, {"url": "https://secret.evil.test/"}, "api.test")
    assert "the cluster's setting egress does not list secret.evil.test:443" in outcome.reason


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ({"url": "ftp://a.test/"}, "must begin with https:// or http://"),
        ({"url": "https:///x"}, "names no host"),
        ({"url": "https://ada:swordfish@a.test/"}, "holds a user or a password"),
        ({"url": "https://a.test:99999/"}, "cannot be read"),
        ({"url": "https://a.test/\r\nx: y"}, "has blanks or characters"),
        ({"url": "https://a.test/", "headers": {"Host": "b.test"}}, "is set by the executor itself"),
        ({"url": "https://a.test/", "headers": {"x": "a\r\ny: b"}}, "characters that no header can hold"),
        ({"url": "https://a.test/", "headers": {"x y": "a"}}, "expected"),
        ({"url": "https://a.test/", "expectedStatus": []}, "length >= 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_run_that_could_not_be_sent_is_refused(tmp_path: Path, run: dict[str, Any], why: str) -> None:
    outcome = await called(tmp_path, run, "*")
    assert outcome.reason.startswith("run: ")
    assert "swordfish" not in outcome.reason
    if why != "expected":
        assert why in outcome.reason


def test_a_cluster_that_permits_no_host_runs_no_such_tasks(tmp_path: Path) -> None:
    """So placement goes elsewhere, and does not fail there."""
    context = ExecutorContext(region="beijing", workspaces=tmp_path)
    assert "egress lists no host" in unavailable(context, HttpSettings())
    assert "ca_file" in unavailable(context, HttpSettings(egress=("a.test",), ca_file="/nowhere"))
    assert unavailable(context, HttpSettings(egress=("a.test",))) == ""
