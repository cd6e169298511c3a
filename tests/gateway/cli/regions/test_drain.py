"""Tests how `waypost drain` waits, and its exit code."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.regions.drain import drain


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.regions.drain.POLL_SECONDS", 0.0)


def answers(server: HTTPServer, first: int, *later: int, cordoned: bool = True) -> None:
    """Makes the server answer one POST, then one GET for each count; any other call is refused."""
    status = {"region": "beijing", "cordoned": True, "inflight": first}
    server.expect_ordered_request("/v1/regions/beijing/drain", method="POST").respond_with_json(status)
    for count in later:
        row = {"name": "beijing", "cordoned": cordoned, "inflight": count}
        server.expect_ordered_request("/v1/regions", method="GET").respond_with_json({"items": [row]})


def test_a_drain_waits_until_the_region_is_empty(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A count that did not change is printed once."""
    answers(httpserver, 2, 2, 1, 0)
    assert drain("beijing", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "beijing: still there: 2 shards",
        "beijing: still there: 1 shard",
        "beijing: drained: it can be stopped",
    ]


def test_a_drain_that_takes_too_long_fails(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must not stop a region that still works; the cordon stays."""
    answers(httpserver, 3)
    assert drain("beijing", timeout=0.0, url=httpserver.url_for(""), token="t") == Exit.FAILED
    assert capsys.readouterr().out == "beijing: cordoned, but not empty; still there: 3 shards\n"


def test_a_cordon_that_was_withdrawn_is_not_set_again(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another operator has decided otherwise; and an empty region that takes work is not drained."""
    answers(httpserver, 3, 3, 0, 0, cordoned=False)
    assert drain("beijing", url=httpserver.url_for(""), token="t") == Exit.FAILED
    assert capsys.readouterr().out.splitlines()[-1].endswith("withdrawn the cordon, it takes work again")
    assert [request.method for request, _ in httpserver.log] == ["POST", "GET", "GET", "GET"]


def test_a_region_that_was_removed_meanwhile_is_reported(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A drain of nothing would never end."""
    answers(httpserver, 3)
    httpserver.expect_ordered_request("/v1/regions").respond_with_json({"items": []})
    assert drain("beijing", url=httpserver.url_for(""), token="t") == Exit.NOT_FOUND
    assert "any more" in capsys.readouterr().err
