"""Tests which run the argument of a command refers to, and commands about several runs."""

from collections.abc import Callable

import httpx
import jwt
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.errors import CliError, Exit
from gateway.cli.runs.cancel import cancel
from gateway.cli.runs.retry import retry
from gateway.cli.runs.run_ids import resolve_run
from tests.gateway.cli.runs.answers import run

IDS = ("019a" + "0" * 24, "019a" + "1" * 24, "019b" + "0" * 24)


def resolved(name: str, *, subject: str | None = "me", ids: tuple[str, ...] = IDS) -> str:
    def answer(request: httpx.Request) -> httpx.Response:
        prefix = request.url.params.get("id", "")
        return httpx.Response(200, json={"items": [run(id_) for id_ in ids if id_.startswith(prefix)]})

    headers = {"authorization": f"Bearer {jwt.encode({'sub': subject}, 'k' * 32)}"} if subject else {}
    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport, base_url="http://gateway.test", headers=headers) as client:
        return resolve_run(client, name)


def test_the_beginning_of_an_id_is_enough() -> None:
    """If no other begins so; a whole id, and what is none, is left to the gateway."""
    assert resolved("019b") == IDS[2]
    assert resolved("019a1") == IDS[1]
    assert resolved("ffff") == "ffff"
    assert resolved("f" * 28) == "f" * 28
    assert resolved("../regions") == "../regions"
    with pytest.raises(CliError, match="more than one") as refused:
        resolved("019a")
    assert (refused.value.code, [line.split()[0] for line in refused.value.lines]) == (Exit.USAGE, [*IDS[:2]])


def test_latest_is_ones_own() -> None:
    """`cancel @latest` of an operator, who sees everybody's runs, must not end somebody else's."""
    assert resolved("@latest") == IDS[0]
    assert resolved("@latest", subject=None) == IDS[0]
    with pytest.raises(CliError, match="submitted by somebody") as refused:
        resolved("@latest", subject="somebody")
    assert IDS[0] in refused.value.lines[0]
    with pytest.raises(CliError, match="no run yet"):
        resolved("@latest", ids=())


@pytest.mark.parametrize("change", [cancel, retry])
def test_several_runs_are_changed_whatever_becomes_of_one(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], change: Callable[..., int]
) -> None:
    """The exit code is that of the first failure, and each has its line."""

    def answer(request: Request) -> Response:
        identity = request.path.split("/")[3]
        if identity == IDS[1]:
            return Response('{"detail": "the run is over"}', 409)
        return Response(httpx.Response(200, json=run(identity)).content)

    for identity in IDS:
        httpserver.expect_request(f"/v1/runs/{identity}/{change.__name__}").respond_with_handler(answer)
    assert change(*IDS, url=httpserver.url_for(""), token="t") == Exit.FAILED
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == [IDS[0], IDS[2]]
    assert f"{IDS[1]}: the run is over" in printed.err
    assert change(IDS[0], IDS[2], quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [IDS[0], IDS[2]]
