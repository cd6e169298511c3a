"""How `waypost drain` waits, and what its exit code says."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.regions.drain import drain


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.regions.drain.POLL_SECONDS", 0.0)


def answers(server: HTTPServer, *inflight: int) -> None:
    for count in inflight:
        answer = {"region": "beijing", "cordoned": True, "inflight": count}
        server.expect_ordered_request("/v1/regions/beijing/drain").respond_with_json(answer)


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
