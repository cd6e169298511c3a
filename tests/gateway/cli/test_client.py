"""Tests how the command line reaches a gateway, and its messages when it cannot."""

import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.cli.client import api_path, connect
from gateway.cli.errors import CliError, Exit
from gateway.cli.logs.logs import logs
from gateway.cli.regions.cordon import cordon
from gateway.cli.regions.listing import regions
from gateway.cli.runs.cancel import cancel
from gateway.cli.runs.describe import describe
from gateway.cli.runs.explain import explain
from gateway.cli.runs.listing import runs
from gateway.cli.runs.retry import retry
from gateway.cli.runs.watch import watch
from waypost.pki import authority

ELSEWHERE = "../regions/beijing/cordon#"
PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.mark.parametrize("command", [cancel, retry, describe, explain, watch, logs, cordon])
def test_a_name_stays_one_part_of_the_path(command: Callable[..., int], httpserver: HTTPServer) -> None:
    """Or `cancel ../regions/beijing/cordon#` would cordon a region."""
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.environ["REQUEST_URI"])  # as it was sent
        return Response('{"detail": "no such run"}', 404)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    assert command(ELSEWHERE, url=httpserver.url_for(""), token="t") == Exit.NOT_FOUND
    assert [re.split("[/?]", uri)[3].lower() for uri in asked] == ["%2e%2e%2fregions%2fbeijing%2fcordon%23"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"TRACEPARENT": PARENT, "TRACESTATE": "vendor=1"}, (PARENT, "vendor=1")),
        ({"TRACEPARENT": PARENT, "TRACESTATE": "two\nlines"}, (PARENT, None)),
        ({"TRACEPARENT": "00-two\nlines\udcff", "TRACESTATE": "vendor=1"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_a_command_is_in_the_trace_of_its_environment(
    given: dict[str, str],
    sent: tuple[str | None, str | None],
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipeline that is traced finds its runs in its trace; what is malformed is left out."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found: list[tuple[str | None, str | None]] = []

    def answer(request: Request) -> Response:
        found.append((request.headers.get("traceparent"), request.headers.get("tracestate")))
        return Response('{"detail": "no such run"}', 404)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    describe("0197", url=httpserver.url_for(""), token="t")
    assert found[:1] == [sent]


def test_dots_lead_nowhere() -> None:
    """A client takes `.` and `..` out of a path before it sends it."""
    assert api_path("runs", "..", "cancel") == "/v1/runs/%2E%2E/cancel"
    with pytest.raises(CliError, match="empty"):
        api_path("runs", "")


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("http://[::", "t", "is not a URL"),
        ("ftp://gateway", "t", "write http://HOST:PORT"),
        ("garbage", "t", "write http://HOST:PORT"),
        ("http://gateway", "é", "no token has"),
        ("http://gateway", "a\nb", "no token has"),
        (None, "t", "no gateway is known"),
    ],
)
def test_what_cannot_be_sent_is_reported(url: str | None, token: str, said: str) -> None:
    """In a sentence, and nobody is asked."""
    with pytest.raises(CliError, match=said) as refused, connect(url, token):
        pass
    assert refused.value.code is Exit.USAGE


def test_roots_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is a file, but no certificate in it."""
    for content in (None, "no certificate"):
        if content:
            (tmp_path / "roots.pem").write_text(content)
        monkeypatch.setenv("WAYPOST_CA", str(tmp_path / "roots.pem"))
        with (
            pytest.raises(CliError, match=r"WAYPOST_CA: .*roots\.pem") as refused,
            connect("https://gateway", "t"),
        ):
            pass
        assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_the_roots_of_this_machine_are_named_too(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stopped: No such file` says nothing of the variable that somebody has set."""
    if content:
        (tmp_path / "roots.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    with pytest.raises(CliError, match=r"SSL_CERT_FILE: .*roots\.pem") as refused, connect("https://g", "t"):
        pass
    assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter2@gateway", "https://hunter2@gateway", "http://:hunter2@g", "http://u:hunter2@g:x"],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url: str) -> None:
    """httpx would send it in place of the token."""
    with pytest.raises(CliError) as refused, connect(url, "t"):
        pass
    assert refused.value.code is Exit.USAGE
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("named", [True, False])
def test_a_certificate_of_another_host_is_no_question_of_roots(
    named: bool,
    secure: HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever has set WAYPOST_CA need not be told to; and another root does not help against a wrong name."""
    if named:
        monkeypatch.setenv("WAYPOST_CA", str(tmp_path / "pki" / "ca.pem"))
        url = secure.url_for("").replace("localhost", "127.0.0.1")
    else:
        authority.create_root(tmp_path / "other")
        monkeypatch.setenv("WAYPOST_CA", str(tmp_path / "other" / "ca.pem"))
        url = secure.url_for("")
    assert regions(url=url, token="t") == Exit.UNAVAILABLE
    printed = capsys.readouterr().err
    assert ("Use the name that the certificate is for" in printed) == named
    assert ("does not hold the root that issued it" in printed) == (not named)
    assert "Name the root" not in printed


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[HTTPServer]:
    authority.create_root(tmp_path / "pki")
    issued = authority.issue_api(tmp_path / "pki", ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    with HTTPServer(host="localhost", ssl_context=context) as server:
        server.expect_request("/v1/regions").respond_with_json({"items": []})
        yield server


def test_a_certificate_that_is_not_trusted_is_reported(
    secure: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no gateway that does not run; and the setting that helps is named."""
    assert regions(url=secure.url_for(""), token="t") == Exit.UNAVAILABLE
    printed = capsys.readouterr().err
    assert (
        "certificate" in printed
        and "is not trusted" in printed
        and "WAYPOST_CA" in printed
        and "waypost up" not in printed
    )
    monkeypatch.setenv("WAYPOST_CA", str(tmp_path / "pki" / "ca.pem"))
    assert regions(url=secure.url_for(""), token="t") == Exit.DONE


def test_http_and_https_that_were_mixed_up_are_reported(
    secure: HTTPServer, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In either direction."""
    assert regions(url=httpserver.url_for("").replace("http:", "https:"), token="t") == Exit.UNAVAILABLE
    assert "write http://" in capsys.readouterr().err
    assert regions(url=secure.url_for("").replace("https:", "http:"), token="t") == Exit.UNAVAILABLE
    assert "write https://" in capsys.readouterr().err


def test_starting_a_gateway_is_advised_only_here(capsys: pytest.CaptureFixture[str]) -> None:
    """`waypost up` does not help against a gateway elsewhere."""
    assert regions(url="http://127.0.0.1:9", token="t") == Exit.UNAVAILABLE
    assert "nobody answers" in (printed := capsys.readouterr().err) and "waypost up" in printed
    assert regions(url="http://gateway.invalid", token="t") == Exit.UNAVAILABLE
    assert "nobody answers" in (printed := capsys.readouterr().err) and "waypost up" not in printed


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '"text"', '{"status": "ok"}', "\xff"])
def test_an_answer_of_something_else_is_reported(
    body: str, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a wrong URL there may be anything."""
    httpserver.expect_request("/v1/runs").respond_with_data(body.encode("latin-1"))
    assert runs(url=httpserver.url_for(""), token="t") == Exit.UNAVAILABLE
    assert "is the URL right?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 2),
        (413, 2),
        (415, 2),
        (422, 2),
        (401, 3),
        (403, 3),
        (404, 4),
        (409, 1),
        (500, 1),
        (429, 5),
        (503, 5),
    ],
)
def test_the_exit_code_tells_why_a_gateway_refused(status: int, code: int, httpserver: HTTPServer) -> None:
    """A document that is wrong is the same to a script, whether the command line or the gateway finds out."""
    httpserver.expect_request("/v1/runs").respond_with_json({"detail": "no"}, status=status)
    assert runs(url=httpserver.url_for(""), token="t") == code


@pytest.mark.parametrize("body", ["<html>", "[]", '{"errors": [1]}', '{"detail": 1}', ""])
def test_a_refusal_may_be_anything(
    body: str, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy between us and a gateway refuses in words of its own."""
    httpserver.expect_request("/v1/runs").respond_with_data(body, status=502)
    assert runs(url=httpserver.url_for(""), token="t") == Exit.UNAVAILABLE
    assert "the answer is 502" in capsys.readouterr().err
