"""Tests `waypost healthcheck`, with which a container's probe and `helm test` ask a gateway."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli import healthcheck as module
from gateway.cli.errors import Exit
from gateway.cli.healthcheck import healthcheck


def test_a_ready_gateway_is_healthy(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What each part says is in the log of the probe."""
    httpserver.expect_request("/readyz", query_string="verbose").respond_with_data("[+] store: ok\nready\n")
    assert healthcheck(url=httpserver.url_for("/readyz?verbose")) == Exit.DONE
    assert capsys.readouterr().out == "[+] store: ok\nready\n"


def test_a_gateway_that_is_not_ready_says_why(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/readyz").respond_with_data("[-] store: the disk is full\n", status=503)
    assert healthcheck(url=httpserver.url_for("/readyz")) == Exit.UNAVAILABLE
    assert capsys.readouterr().err == "[-] store: the disk is full\n"


def test_where_nothing_listens_nothing_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck(url="http://127.0.0.1:1/readyz") == Exit.UNAVAILABLE
    assert "http://127.0.0.1:1/readyz does not answer" in capsys.readouterr().err


def test_it_asks_again_until_all_is_well(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`helm test` begins while the gateway starts."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)
    httpserver.expect_ordered_request("/readyz").respond_with_data("not ready\n", status=503)
    httpserver.expect_ordered_request("/readyz").respond_with_data("ready\n")
    assert healthcheck(url=httpserver.url_for("/readyz"), timeout=60) == Exit.DONE


@pytest.mark.parametrize("url", ["readyz", "ftp://127.0.0.1/readyz"])
def test_an_address_that_cannot_be_asked_is_a_wrong_argument(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert healthcheck(url=url) == Exit.USAGE
    assert url in capsys.readouterr().err
