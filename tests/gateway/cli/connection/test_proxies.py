"""Tests proxies from environment variables: which call uses which, and errors about unusable ones."""

import httpx
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.connection.proxies import find_proxy
from gateway.cli.errors import Exit
from gateway.cli.regions.listing import regions

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "nonsense://x", "http://a:b"]
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_this_machine_is_reached_without_a_proxy(
    variable: str, proxy: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy could not reach it; and one that cannot be used is no reason to fail."""
    monkeypatch.setenv(variable, proxy)
    httpserver.expect_request("/v1/regions").respond_with_json({"items": []})
    assert regions(url=httpserver.url_for(""), token="t") == Exit.DONE


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],
)
def test_every_spelling_of_this_machine_counts(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system would resolve it."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    assert find_proxy(httpx.URL(f"http://{host}:8080")) is None


@pytest.mark.parametrize(
    ("proxy", "code", "said"),
    [
        (
            "socks5://user:secret@proxy.invalid:1",
            2,
            "ALL_PROXY names the SOCKS proxy socks5://proxy.invalid:1",
        ),
        ("socks4://proxy.invalid", 2, "ALL_PROXY names socks4://proxy.invalid, which is not the URL"),
        ("http://", 2, "it names no host"),
        ("http://proxy:99999", 2, "a port is a number"),
        (f"http://{'a' * 70}.invalid", 2, "too long"),
        ("http://user:secret@127.0.0.1:1", 5, "ALL_PROXY names the proxy http://127.0.0.1:1"),
        ("127.0.0.1:1", 5, "ALL_PROXY names the proxy http://127.0.0.1:1"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(
    proxy: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever set it has long forgotten it; its password is not for the screen."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert regions(url="http://gateway.invalid", token="t") == code
    printed = capsys.readouterr().err
    assert said in printed and "NO_PROXY=gateway.invalid" in printed
    assert "secret" not in printed


def test_a_proxy_that_answers_itself_is_named(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its refusal is not a gateway's, and the URL may well be right."""
    monkeypatch.setenv("http_proxy", httpserver.url_for(""))
    httpserver.expect_request("/v1/regions").respond_with_data("<html>", status=407)
    assert regions(url="http://gateway.invalid", token="t") == Exit.UNAVAILABLE
    assert "http_proxy names the proxy" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["<html>", "{}", '{"error": "no"}', '{"detail": "Not Found"}', ""])
@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 407, 500])
def test_what_a_proxy_refuses_is_no_gateways_refusal(
    status: int, body: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script would take a 404 for a run that is not there, and a 403 for policy's no."""
    monkeypatch.setenv("http_proxy", httpserver.url_for(""))
    httpserver.expect_request("/v1/regions").respond_with_data(body, status=status)
    assert regions(url="http://gateway.invalid", token="t") == Exit.UNAVAILABLE


def test_a_gateways_refusal_through_a_proxy_is_its_own(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has a trace, which a proxy's has not."""
    monkeypatch.setenv("http_proxy", httpserver.url_for(""))
    problem = {"detail": "there is no such run", "trace_id": "ab" * 16}
    httpserver.expect_request("/v1/regions").respond_with_json(problem, status=404)
    assert regions(url="http://gateway.invalid", token="t") == Exit.NOT_FOUND
    assert "proxy" not in capsys.readouterr().err


def test_a_proxy_without_tls_is_named(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`https://` was meant for the calls, and says how the proxy itself is spoken to."""
    monkeypatch.setenv("https_proxy", httpserver.url_for("").replace("http:", "https:"))
    assert regions(url="https://gateway.invalid", token="t") == Exit.UNAVAILABLE
    printed = capsys.readouterr().err
    assert f"no TLS connection with https://localhost:{httpserver.port}/, the proxy to" in printed
    assert "https_proxy=http://" in printed and "NO_PROXY=gateway.invalid" in printed


@pytest.mark.parametrize(
    ("exempt", "host", "used"),
    [
        ("gateway.example", "gateway.example", False),
        (".example", "gateway.example", False),
        ("other.example", "gateway.example", True),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8,fd00::/8", "[fd00::1]", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("*", "gateway.example", False),
        ("", "gateway.example", True),
    ],
)
def test_no_proxy_exempts_names_and_networks(
    exempt: str, host: str, *, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As curl and kubectl read it."""
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    monkeypatch.setenv("no_proxy", exempt)
    assert (find_proxy(httpx.URL(f"https://{host}")) is not None) == used
