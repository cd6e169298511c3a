"""The commands' HTTP client: finds the gateway, parses its responses, explains connection errors.

Address and token come, in this order, from `--url` and `--token`, the environment (`WAYPOST_URL`,
`WAYPOST_TOKEN`), and the context that `waypost up` leaves in `.waypost/context.json` of the working directory
or one above it.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from gateway.cli.connection.addresses import is_loopback, parse_address
from gateway.cli.connection.own_token import explain_missing_scope, explain_refusal
from gateway.cli.connection.proxies import EnvironmentProxy, find_proxy, proxy_error
from gateway.cli.context import Context, find_context
from gateway.cli.errors import EXIT_BY_STATUS, CliError, Exit
from gateway.identity.development_issuer import SCOPES, mint_token
from waypost.json_pointer import FieldError
from waypost.tls import PkiError, roots_context
from waypost.tracing.headers import headers_of

WRONG_NAME: Final = (62, 64)
"""OpenSSL's error codes for a certificate of another host or IP address."""
WRONG_TIME: Final = (9, 10)
"""OpenSSL's error codes for a certificate that is not valid yet, or has expired."""


PAGES_MAXIMUM: Final = 100
"""The maximum number of pages that are read for one list: behind them a person goes on with --continue."""


class ProblemFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a problem document (RFC 9457) that the command line prints from an error response.

    All may be missing: the response may come from a proxy.
    """

    detail: str = ""
    trace_id: str | None = None
    decision_id: str | None = None
    errors: tuple[FieldError, ...] = ()


def api_path(*names: str) -> str:
    """Returns the API path `/v1/` followed by `names`, each quoted so that it stays one path segment.

    Raises `CliError` for an empty name.
    """
    if not all(names):
        raise CliError("a name is empty", code=Exit.USAGE)
    # Dots too, which quote() leaves: httpx resolves `.` and `..`, and `..` would lead to another path.
    quoted = (quote(name, safe="", errors="surrogateescape").replace(".", "%2E") for name in names)
    return "/v1/" + "/".join(quoted)


@contextmanager
def connect(url: str | None, token: str | None, *, timeout_seconds: float = 30.0) -> Iterator[httpx.Client]:
    """Opens, as a context, an HTTP client of the gateway; converts failed connections to `CliError`.

    Raises `CliError` for a URL or token that cannot be used, and for every failed connection. Responses of
    any status are returned: `read_answer` converts refusals to a `CliError`.
    """
    context = find_context(Path.cwd())
    url = url or (context.url if context else None)
    if url is None:
        raise CliError(
            "no gateway is known here",
            lines=("Start one with `waypost up`, or name one with --url or WAYPOST_URL.",),
            code=Exit.USAGE,
        )
    address = parse_address(url)
    token = token or _development_token(context)
    # httpx would fail on such a header with an error that shows the token
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise CliError(
            "the token holds characters that no token has: give it as it was issued, on one line",
            code=Exit.USAGE,
        )
    headers = headers_of(os.environ) | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        with _open_client(address, headers, timeout_seconds) as client:
            yield client
    except httpx.TimeoutException as error:
        advice = (proxy.advice(address),) if (proxy := find_proxy(address)) else ()
        raise CliError(f"{url} does not answer in time", lines=advice, code=Exit.UNAVAILABLE) from error
    except httpx.TransportError as error:
        raise _connection_error(address, error) from error


def _open_client(address: httpx.URL, headers: dict[str, str], timeout_seconds: float) -> httpx.Client:
    """Builds the HTTP client for `address`, using the proxy that the environment names for it, if any."""
    proxy = find_proxy(address)
    # Most of a short command's time would go into reading the machine's roots: without TLS none is needed.
    speaks_tls = address.scheme == "https" or (proxy is not None and proxy.url.startswith("https:"))
    try:
        return httpx.Client(
            base_url=address,
            headers=headers,
            timeout=timeout_seconds,
            verify=_trusted_roots() if speaks_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            proxy=proxy and proxy.parse(),
            # the environment was read by `find_proxy`
            trust_env=False,
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if proxy is None:
            raise
        raise proxy_error(proxy, address, error) from error


def _trusted_roots() -> ssl.SSLContext:
    """Returns the root certificates to trust: those in the file `WAYPOST_CA`, else those of this machine.

    Raises `CliError` if the file cannot be read.
    """
    roots = os.environ.get("WAYPOST_CA")
    try:
        return roots_context(roots) if roots else httpx.create_ssl_context()
    except PkiError as error:
        raise CliError(f"WAYPOST_CA: {error}", code=Exit.USAGE) from error
    except OSError as error:  # ssl.SSLError is an OSError
        # OpenSSL's own variable, which httpx (0.28) reads and does not name.
        file = os.environ.get("SSL_CERT_FILE")
        reason = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise CliError(f"SSL_CERT_FILE: {file}: {reason}", code=Exit.USAGE) from error


def _development_token(context: Context | None) -> str | None:
    if context is None or context.development is None:
        return None
    return mint_token(
        Path(context.development),
        subject=os.environ.get("USER", "developer"),
        tenant=context.tenant,
        scopes=SCOPES,
    )


def _connection_error(address: httpx.URL, error: httpx.TransportError) -> CliError:
    """Converts a failed connection to `address` to a `CliError` with its cause and advice."""
    tls_error, proxy = _tls_error(error), find_proxy(address)
    # To such a proxy there is a TLS connection of its own: which of the two has failed is not known.
    by_way = f" or of the proxy {proxy}" if proxy and proxy.url.startswith("https:") else ""
    if isinstance(tls_error, ssl.SSLCertVerificationError):
        message = f"the certificate of {address}{by_way} is not trusted: {tls_error.verify_message}"
        advice = _certificate_advice(tls_error)
    elif tls_error is not None and by_way and proxy:
        message = f"no TLS connection with {proxy}, the proxy to {address}: {tls_error.reason or tls_error}"
        advice = f"Where it speaks plain HTTP, write {proxy.variable}=http://... instead."
    elif tls_error is not None:
        message = f"no TLS connection with {address}: {tls_error.reason or tls_error}"
        advice = "Where it speaks plain HTTP, write http:// instead."
    elif proxy is not None:
        message = f"{address} cannot be reached by way of a proxy: {str(error).rpartition('] ')[2]}"
        advice = proxy.advice(address)
    elif isinstance(error, httpx.ConnectError):
        message = f"nobody answers at {address}: {str(error).rpartition('] ')[2]}"
        # `waypost up` starts a gateway on this machine: that does not help against one elsewhere
        advice = "Is the gateway running? `waypost up` starts one." if is_loopback(address.host) else ""
    else:
        message = f"the connection with {address} broke: {error}"
        # a TLS server closes the connection on a plain HTTP request
        advice = "" if address.scheme == "https" else "Where it speaks TLS, write https:// instead."
    lines = [advice] if advice else []
    if tls_error is not None and proxy is not None:
        lines.append(proxy.advice(address))
    return CliError(message, lines=tuple(lines), code=Exit.UNAVAILABLE)


def _certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    """Returns a sentence of advice for a TLS certificate that was not accepted, by its verification error."""
    if error.verify_code in WRONG_NAME:
        return "Use the name that the certificate is for, or have one issued for this name."
    if error.verify_code in WRONG_TIME:
        return "Whoever operates it has to renew it; or the clock of this machine is wrong."
    if roots := os.environ.get("WAYPOST_CA"):
        return f"WAYPOST_CA is {roots}, which does not hold the root that issued it."
    return "Name the root that issued it in WAYPOST_CA."


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Returns the TLS error that caused `error`; None if none did. httpx (0.28) nests it two causes deep."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


def read_pages(client: httpx.Client, path: str, query: dict[str, Any], limit: int) -> dict[str, Any]:
    """Requests pages of a list until there are `limit` items or no more; returns them as one page.

    A page with filters may end early: the gateway looks at a bounded number of entries for one. Raises
    `CliError` like `read_answer`.
    """
    items, page = list[Any](), dict[str, Any]()
    for _ in range(PAGES_MAXIMUM):
        page = read_answer(client.get(path, params=query | {"limit": limit - len(items)}), "items")
        items += page["items"]
        if not page.get("continue") or len(items) >= limit:
            break
        query = query | {"continue": page["continue"]}
    return {**page, "items": items}


def read_answer(response: httpx.Response, *names: str) -> Any:
    """Parses a successful response as a JSON object that must have the fields `names`.

    Raises `CliError` for any other response, with the text of the problem document where the gateway refuses.
    """
    if response.is_success:
        return decode_object(response.content, *names)
    try:
        problem = msgspec.json.decode(response.content, type=ProblemFields)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = ProblemFields()
    proxy = None if problem.trace_id else find_proxy(response.url)
    if not problem.detail or proxy:
        raise _foreign_refusal(response, proxy)
    lines = [f"{error.pointer or '/'}: {error.detail}" for error in problem.errors]
    lines += [f"decision {problem.decision_id}"] if problem.decision_id else []
    # the gateway's log has more of it, under this id
    lines += [f"trace {problem.trace_id}"] if problem.trace_id else []
    if response.status_code == httpx.codes.UNAUTHORIZED:
        lines += explain_refusal(_sent_token(response), development=_is_development(response.url))
    elif response.status_code in (403, 404):
        lines += explain_missing_scope(_sent_token(response), response.request.method, response.url.path)
    if retry := response.headers.get("retry-after"):
        lines.append(f"Try again in {retry} s.")
    code = EXIT_BY_STATUS.get(response.status_code, Exit.FAILED)
    raise CliError(problem.detail, lines=tuple(lines), code=code)


def _foreign_refusal(response: httpx.Response, proxy: EnvironmentProxy | None) -> CliError:
    """Builds the `CliError` for an error response that a proxy sent instead of a gateway.

    Such a response says nothing about the request: a proxy's 404 does not mean that a run is unknown.
    """
    status = response.status_code
    message = f"the answer is {status}, in words that are not a gateway's: is the URL right?"
    lines = (proxy.advice(response.url),) if proxy else ()
    is_too_large = status == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    return CliError(message, lines=lines, code=Exit.USAGE if is_too_large else Exit.UNAVAILABLE)


def _sent_token(response: httpx.Response) -> str | None:
    return response.request.headers.get("authorization", "").partition(" ")[2] or None


def _is_development(url: httpx.URL) -> bool:
    """Returns whether `url` is that of the gateway that `waypost up` runs on this machine."""
    context = find_context(Path.cwd())
    return context is not None and context.development is not None and str(url).startswith(f"{context.url}/")


def decode_object(content: bytes | str, *names: str) -> Any:
    """Parses `content` as a JSON object that must have the fields `names`; raises `CliError` otherwise.

    Other content does not come from a gateway.
    """
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = {}
    if not found or not found.keys() >= set(names):
        raise CliError("the answer is not one of a gateway: is the URL right?", code=Exit.UNAVAILABLE)
    return found
