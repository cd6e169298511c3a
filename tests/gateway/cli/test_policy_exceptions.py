"""Tests the commands about policy exceptions: what they request of the gateway, and what they print."""

import json
import time

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.policy.exceptions import app, approve, ask, listing

ONE = {
    "id": "e1",
    "state": "Pending",
    "rule": "image.banned",
    "tenant": "payments",
    "workflow": "nightly",
    "document": "ab" * 32,
    "reason": "r",
    "ticket": "OPS-7",
    "asked_by": "ada",
    "asked_at": 1.0,
    "expires_at": 90_000.0,
    "approvals": [{"subject": "bob", "issuer": "i", "at": 2.0, "decision_id": "d"}],
    "revoked_by": "",
}


def test_what_is_asked_for_ends_as_long_from_now_as_is_said(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[dict[str, object]] = []

    def answer(request: Request) -> Response:
        sent.append(json.loads(request.data))
        return Response(json.dumps(ONE), 201)

    httpserver.expect_request("/v1/policy/exceptions", method="POST").respond_with_handler(answer)
    began = time.time()
    code = ask(
        "image.banned",
        reason="r",
        ticket="OPS-7",
        expires="7d",
        output=Format.NAME,
        url=httpserver.url_for(""),
        token="t",
    )

    assert (code, capsys.readouterr().out) == (Exit.DONE, "e1\n")
    ends = sent[0].pop("expires_at")
    assert isinstance(ends, float)
    assert began <= ends - 7 * 86_400 <= time.time()
    assert sent[0] == {
        "rule": "image.banned",
        "tenant": None,
        "workflow": "",
        "document": "",
        "reason": "r",
        "ticket": "OPS-7",
    }


def test_a_time_that_is_none_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ask("r", reason="r", ticket="t", expires="tomorrow", url="http://127.0.0.1:9") == Exit.USAGE
    assert "not 'tomorrow'" in capsys.readouterr().err


def test_the_list_says_for_what_until_when_and_by_whom(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request(
        "/v1/policy/exceptions", query_string={"limit": "50", "ended": "true"}
    ).respond_with_json({"items": [ONE], "continue": None})

    assert listing(ended=True, url=httpserver.url_for(""), token="t") == Exit.DONE

    out = capsys.readouterr().out
    assert "Pending  image.banned  payments  nightly document abababababab  1970-01-0" in out
    assert "ada       bob          OPS-7   e1" in out
    assert listing(ended=True, quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "e1\n"


def test_an_approval_says_what_is_still_missing(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/v1/policy/exceptions/e1/approve", method="POST").respond_with_json(ONE)

    assert approve("e1", url=httpserver.url_for(""), token="t") == Exit.DONE

    out = capsys.readouterr().out
    assert out.startswith("e1  Pending: image.banned for nightly document abababababab of tenant payments")
    assert out.endswith("approved by bob; 1 more must approve, each person once\n")


def test_the_commands_are_part_of_policy() -> None:
    assert set(app.resolved_commands()) >= {"ask", "approve", "list", "revoke"}
