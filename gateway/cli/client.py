"""How the command line reaches a gateway, and what it says when it cannot.

Where and as whom, in this order: `--url` and `--token`, the environment (`WAYPOST_URL`, `WAYPOST_TOKEN`), and the context that `waypost up`
leaves in `.waypost/context.json` of this folder or one above it.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx
import msgspec
from cyclopts import Parameter

from gateway.identity.development_issuer import SCOPES, mint_token
from waypost.json_pointer import FieldError

CONTEXT = Path(".waypost") / "context.json"
LOOPBACK: Final = ("localhost", "::1")


class Exit(IntEnum):
    """What a script can tell from the exit code. The table for people is in `docs/operating.md`."""

    DONE = 0
    FAILED = 1
    """The run did not succeed, a check did not hold, or what was asked for cannot be done as things stand."""
    USAGE = 2
    """An argument, a file or a document is wrong, whoever found it: the command line or the gateway."""
    REFUSED = 3
    """No acceptable token, or policy said no."""
    NOT_FOUND = 4
    UNAVAILABLE = 5
    """No gateway answers, or not now: try again."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """Whoever read the output has seen enough."""


CODES: Final = {
    **dict.fromkeys((400, 413, 415, 422, 431), Exit.USAGE),
    **dict.fromkeys((401, 403), Exit.REFUSED),
    404: Exit.NOT_FOUND,
    **dict.fromkeys((429, 502, 503, 504), Exit.UNAVAILABLE),
}
"""By the status of the answer; any other is `FAILED`."""


class CliError(Exception):
    """Ends the command: a sentence for people, lines that say more, and the exit code."""

    def __init__(self, message: str, *, lines: tuple[str, ...] = (), code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message, self.lines, self.code = message, lines, code


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a problem document."""

    detail: str = ""
    decision_id: str | None = None
    errors: tuple[FieldError, ...] = ()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What `waypost up` leaves for other commands. `development` is the folder of the development issuer."""

    url: str
    development: str | None = None
    tenant: str = "demo"


Url = Annotated[
    str | None,
    Parameter(
        name="--url",
        env_var="WAYPOST_URL",
        help="The gateway. Default: the one that `waypost up` started here.",
    ),
]
Token = Annotated[
    str | None,
    Parameter(
        name="--token",
        env_var="WAYPOST_TOKEN",
        help="A bearer token. Default: a development token, where there is such a gateway.",
    ),
]


def find_context(start: Path) -> Context | None:
    """The nearest context at or above `start`."""
    for folder in (start, *start.parents):
        try:
            return msgspec.json.decode((folder / CONTEXT).read_bytes(), type=Context)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except msgspec.MsgspecError as error:
            raise CliError(f"{folder / CONTEXT} is not a context: {error}", code=Exit.USAGE) from error
    return None


def path(*names: str) -> str:
    """The path below `/v1` that is made of `names`: each stays one part of it, whatever is in it. Raises `CliError` for an empty name."""
    if not all(names):
        raise CliError("a name is empty", code=Exit.USAGE)
    quoted = (
        quote(name, safe="", errors="surrogateescape").replace(".", "%2E") for name in names
    )  # . and .. would lead elsewhere
    return "/v1/" + "/".join(quoted)


@contextmanager
def connect(url: str | None, token: str | None, *, timeout_seconds: float = 30.0) -> Iterator[httpx.Client]:
    """A client of the gateway. Failures of the road become `CliError`; answers are for `checked`."""
    context = find_context(Path.cwd())
    url = url or (context.url if context else None)
    if url is None:
        raise CliError(
            "no gateway is known here",
            lines=("Start one with `waypost up`, or name one with --url or WAYPOST_URL.",),
            code=Exit.USAGE,
        )
    where = _address(url)
    token = token or _development_token(context)
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise CliError(
            "the token holds characters that no token has: give it as it was issued, on one line",
            code=Exit.USAGE,
        )
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.Client(
            base_url=where, headers=headers, timeout=timeout_seconds, verify=_trusted()
        ) as client:
            yield client
    except httpx.TimeoutException as error:
        raise CliError(f"{url} does not answer in time", code=Exit.UNAVAILABLE) from error
    except httpx.TransportError as error:
        raise _unreachable(where, error) from error


def _address(url: str) -> httpx.URL:
    try:
        where = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise CliError(f"{url!r} is not a URL: {error}", code=Exit.USAGE) from error
    if where.scheme not in ("http", "https") or not where.host:
        raise CliError(
            f"{url!r} is not the URL of a gateway: write http://HOST:PORT or https://HOST:PORT",
            code=Exit.USAGE,
        )
    return where


def _trusted() -> ssl.SSLContext | bool:
    """Whose certificates count: the roots in `WAYPOST_CA`, else those of this machine."""
    roots = os.environ.get("WAYPOST_CA")
    if not roots:
        return True
    try:
        return ssl.create_default_context(cafile=roots)
    except ssl.SSLError as error:
        raise CliError(f"WAYPOST_CA: {roots} holds no certificate in PEM", code=Exit.USAGE) from error
    except OSError as error:
        raise CliError(f"WAYPOST_CA: cannot read {roots}: {error.strerror}", code=Exit.USAGE) from error


def _unreachable(where: httpx.URL, error: httpx.TransportError) -> CliError:
    """What is wrong with the road, and what may be done about it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    said, advice = (
        f"the connection with {where} broke: {error}",
        "Where it speaks TLS, write https:// instead.",
    )
    if isinstance(cause, ssl.SSLCertVerificationError):
        said, advice = (
            f"the certificate of {where} is not trusted: {cause.verify_message}",
            "Name the root that issued it in WAYPOST_CA.",
        )
    elif cause is not None:
        said, advice = (
            f"no TLS connection with {where}: {cause.reason or cause}",
            "Where it speaks plain HTTP, write http:// instead.",
        )
    elif isinstance(error, httpx.ConnectError):
        local = where.host in LOOPBACK or where.host.startswith("127.")
        said, advice = (
            f"nobody answers at {where}: {str(error).rpartition('] ')[2]}",
            "Is the gateway running? `waypost up` starts one." if local else "",
        )
    elif where.scheme == "https":
        advice = ""
    return CliError(said, lines=(advice,) if advice else (), code=Exit.UNAVAILABLE)


def _development_token(context: Context | None) -> str | None:
    if context is None or context.development is None:
        return None
    return mint_token(
        Path(context.development),
        subject=os.environ.get("USER", "developer"),
        tenant=context.tenant,
        scopes=SCOPES,
    )


def checked(response: httpx.Response, *names: str) -> Any:
    """The decoded answer, an object with `names` in it. Raises `CliError` with what the problem document says."""
    if response.is_success:
        return decoded(response.content, *names)
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = Problem(
            detail=f"the answer is {response.status_code}, in words that are not a gateway's: is the URL right?"
        )
    lines = [f"{error.pointer or '/'}: {error.detail}" for error in problem.errors]
    lines += [f"decision {problem.decision_id}"] if problem.decision_id else []
    if response.status_code == httpx.codes.UNAUTHORIZED:
        lines.append(
            "Give a token with --token or WAYPOST_TOKEN; `waypost token mint --dev` makes one for a development gateway."
        )
    if retry := response.headers.get("retry-after"):
        lines.append(f"Try again in {retry} s.")
    code = CODES.get(response.status_code, Exit.FAILED)
    raise CliError(
        problem.detail or f"the gateway answered {response.status_code}", lines=tuple(lines), code=code
    )


def decoded(content: bytes | str, *names: str) -> Any:
    """The JSON object that `content` is, with `names` in it. Raises `CliError`: somebody else answers than a gateway."""
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = {}
    if not found or not found.keys() >= set(names):
        raise CliError("the answer is not one of a gateway: is the URL right?", code=Exit.UNAVAILABLE)
    return found
