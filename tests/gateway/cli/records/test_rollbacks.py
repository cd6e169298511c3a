"""Tests the commands about rollbacks."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.records.rollbacks import describe, listing

ONE = {
    "id": 4,
    "phase": "Done",
    "kind": "policy",
    "release": "7",
    "revision": "ab12",
    "returns_to": "",
    "alert": "RefusalsJump",
    "began_at": 1.8e9,
    "changed_at": 1.8e9,
    "why": "6 decides again",
    "steps": [{"phase": "Intended", "at": 1.8e9, "detail": "40.0% are refused", "seen": {"failovers": 0.0}}],
}


def test_rollbacks_are_listed(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    httpserver.expect_request("/v1/rollbacks").respond_with_json({"items": [ONE], "continue": "MTQ"})
    assert listing(limit=1, url=httpserver.url_for(""), token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert all(word in out for word in ("4", "Done", "policy 7", "RefusalsJump", "6 decides again"))
    assert "--continue MTQ" in err
    assert listing(limit=1, output=Format.NAME, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "4\n"


def test_one_is_shown_with_the_numbers_that_were_seen(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/v1/rollbacks/4").respond_with_json(ONE)
    assert describe(4, url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert all(
        word in out for word in ("what the gateway was started with", "40.0% are refused", "failovers 0")
    )
