"""Tests the commands about released workflows, against a fake gateway."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.releases.releases import abort, apply, canary, describe, listing, promote, rollback
from gateway.cli.runs.submit import submit

VERSION = {
    "number": 1,
    "digest": "d1",
    "source": "c0ffee",
    "applied_by": "ada",
    "applied_at": 1.8e9,
    "state": "Stable",
    "changed_by": "ada",
    "changed_at": 1.8e9,
    "percent": 0.0,
}
TRIED = VERSION | {"number": 2, "state": "Canary", "percent": 5.0, "source": "beef"}
ONE = {"tenant": "payments", "name": "nightly", "rev": 3, "versions": [VERSION, TRIED]}


def test_a_version_is_applied_and_shown(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nightly.yaml"
    file.write_text("apiVersion: waypost/v1\n")
    httpserver.expect_request(
        "/v1/workflows",
        method="POST",
        data=file.read_bytes(),
        query_string={"source": "beef"},
        headers={"content-type": "application/yaml"},
    ).respond_with_json(ONE, 201)
    assert apply(str(file), source="beef", url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert all(word in out for word in ("nightly of payments, revision 3", "Canary 5 %", "beef", "ada"))


def test_workflows_are_listed_and_described(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/v1/workflows").respond_with_json({"items": [ONE], "continue": "MTQ"})
    httpserver.expect_request("/v1/workflows/nightly").respond_with_json(ONE)
    assert listing(url=httpserver.url_for(""), token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert all(word in out for word in ("payments", "nightly", "2 5 %"))
    assert "--continue MTQ" in err
    assert describe("nightly", output=Format.NAME, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "nightly\n"


def test_a_step_is_about_the_revision_that_there_is(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/workflows/nightly").respond_with_json(ONE)
    for step in ("canary", "promote", "abort", "rollback"):
        httpserver.expect_request(
            f"/v1/workflows/nightly/versions/2/{step}",
            method="POST",
            headers={"if-match": '"3"'},
            query_string={"tenant": "payments"},
        ).respond_with_json(ONE)
    url = httpserver.url_for("")
    assert canary("nightly", 2, percent=25, tenant="payments", url=url, token="t") == Exit.DONE
    sent = next(request for request, _ in httpserver.log if request.path.endswith("canary"))
    assert sent.get_json() == {"percent": 25}
    assert promote("nightly", 2, tenant="payments", url=url, token="t") == Exit.DONE
    assert abort("nightly", 2, tenant="payments", url=url, token="t") == Exit.DONE
    assert rollback("nightly", 2, tenant="payments", rev=3, url=url, token="t") == Exit.DONE


def test_a_canary_may_have_stages(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    staged = ONE | {"versions": [VERSION, TRIED | {"steps": [25.0, 100.0], "reason": "[good] so far"}]}
    httpserver.expect_request("/v1/workflows/nightly/versions/2/canary").respond_with_json(staged)
    url = httpserver.url_for("")
    assert canary("nightly", 2, steps="5,25,100", rev=3, url=url, token="t") == Exit.DONE
    assert httpserver.log[0][0].get_json() == {"percent": 5, "steps": [25, 100]}
    out = capsys.readouterr().out
    assert all(words in out for words in ("Canary 5 %, then 25, 100", "2: [good] so far"))
    assert canary("nightly", 2, rev=3, url=url, token="t") == Exit.DONE
    assert httpserver.log[1][0].get_json() == {"percent": 5}
    not_finite: list[Any] = [{"steps": "nan,5"}, {"percent": math.nan}, {"percent": math.inf}]
    for wrong in ({"steps": "5,x"}, {"steps": ""}, {"steps": "5,25", "percent": 5.0}, *not_finite):
        assert canary("nightly", 2, rev=3, url=url, token="t", **wrong) == Exit.USAGE


def test_a_released_workflow_is_submitted_by_its_name(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value is JSON, or else text."""
    run = {"id": "r1", "phase": "Pending", "shard_count": 1}
    httpserver.expect_request("/v1/runs", method="POST").respond_with_json(run, 202)
    url = httpserver.url_for("")
    submit(workflow="nightly", param=("day=monday", "depth=3"), url=url, token="t")
    body = msgspec.json.decode(httpserver.log[0][0].data)
    assert body == {"workflow": "nightly", "params": {"day": "monday", "depth": 3}}
    assert "r1" in capsys.readouterr().out
    assert submit(url=url, token="t") == Exit.USAGE
    assert submit("a.yaml", workflow="nightly", url=url, token="t") == Exit.USAGE
