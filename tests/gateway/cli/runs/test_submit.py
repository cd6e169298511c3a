"""Tests `waypost submit`: idempotency key, dry run, and the message for a run that would wait."""

from pathlib import Path

import jwt
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.runs.submit import submit
from tests.gateway.cli.runs.answers import run


@pytest.mark.parametrize("key", ["", "a b", "é", "a\n", "k" * 256])
def test_a_key_must_be_one_that_can_be_sent(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty one, from a variable that is not set, would make a second run where the first was meant."""
    file = tmp_path / "w.yaml"
    file.write_text("spec: {}")
    assert submit(str(file), key=key, url="http://127.0.0.1:9", token="t") == Exit.USAGE
    assert "--key" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize(("region", "code"), [("beijing", Exit.DONE), (None, Exit.FAILED)])
def test_a_dry_run_that_finds_no_region_fails(
    region: str | None, code: Exit, output: str, tmp_path: Path, httpserver: HTTPServer
) -> None:
    """A pipeline that checks its documents sees it in the exit code."""
    (tmp_path / "w.yaml").write_text("spec: {}")
    plan = {"id": "", "shard_count": 1, "region": region, "unplaceable": "0/3 regions fit", "regions": []}
    httpserver.expect_request("/v1/runs", query_string={"dryRun": "true"}).respond_with_json(plan)
    url = httpserver.url_for("")
    assert submit(str(tmp_path / "w.yaml"), dry_run=True, output=Format(output), url=url, token="t") == code


def test_a_warning_of_the_gateway_is_printed(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error: standard output is the id alone."""
    (tmp_path / "w.yaml").write_text("spec: {}")
    headers = {"warning": '299 - "no region has more than 8"'}
    httpserver.expect_request("/v1/runs").respond_with_json(run("r1"), status=202, headers=headers)
    assert submit(str(tmp_path / "w.yaml"), quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("r1\n", "warning: no region has more than 8\n")


@pytest.mark.parametrize("output", list(Format))
@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (404, "there is no such run"),
        (403, "policy denies it"),
        (503, "not now"),
        (401, "no acceptable token"),
    ],
)
def test_a_run_that_cannot_be_followed_has_been_accepted(
    status: int,
    refusal: str,
    output: Format,
    tmp_path: Path,
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A CI's token may submit and not read: a script that takes it for refused submits it once more."""
    (tmp_path / "w.yaml").write_text("spec: {}")
    httpserver.expect_request("/v1/runs", method="POST").respond_with_json(run("r1"), status=202)
    problem = {"detail": refusal, "trace_id": "ab" * 16}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(problem, status=status)
    token = jwt.encode({"exp": 2**33, "scope": "workflows:submit"}, "k" * 32, "HS256")

    code = submit(
        str(tmp_path / "w.yaml"), watch=True, output=output, url=httpserver.url_for(""), token=token
    )

    assert code == Exit.NOT_FOLLOWED
    out, err = capsys.readouterr()
    shown = out if output in (Format.TABLE, Format.NAME) else err
    assert shown.split()[-2 if output is Format.TABLE else 0 if output is Format.NAME else 1] == "r1"
    assert f"r1 was accepted, and cannot be followed: {refusal}" in err
    assert ("has no scope workflows:read" in err) == (status in (403, 404))


def test_a_run_that_is_followed_is_named_once(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its end, so that it can be found again; and standard output is its id alone."""
    (tmp_path / "w.yaml").write_text("spec: {}")
    httpserver.expect_request("/v1/runs", method="POST").respond_with_json(run("r1"), status=202)
    httpserver.expect_request("/v1/runs/r1").respond_with_json(run("r1") | {"phase": "Succeeded"})
    assert (
        submit(str(tmp_path / "w.yaml"), watch=True, quiet=True, url=httpserver.url_for(""), token="t") == 0
    )
    assert capsys.readouterr().out == "r1\n"


def test_targets_are_sent_with_a_document_and_with_a_name(tmp_path: Path, httpserver: HTTPServer) -> None:
    (tmp_path / "w.yaml").write_text("spec: {tasks: [{name: a}]}")
    url = httpserver.url_for("")
    httpserver.expect_ordered_request(
        "/v1/runs", json={"spec": {"tasks": [{"name": "a"}], "targets": ["a", "b"]}}
    ).respond_with_json(run("r1"), status=202)
    httpserver.expect_ordered_request(
        "/v1/runs", json={"workflow": "nightly", "params": {}, "targets": ["a"]}
    ).respond_with_json(run("r2"), status=202)

    assert submit(str(tmp_path / "w.yaml"), target=("a", "b"), url=url, token="t") == Exit.DONE
    assert submit(workflow="nightly", target=("a",), url=url, token="t") == Exit.DONE
