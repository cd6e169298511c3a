"""How the command line reaches a gateway, and what it says when it cannot.

Where and as whom, in this order: `--url` and `--token`, the environment (`WAYPOST_URL`, `WAYPOST_TOKEN`), and the context that `waypost up`
leaves in `.waypost/context.json` of this folder or one above it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
from cyclopts import Parameter

from gateway.identity.development import mint

CONTEXT = Path(".waypost") / "context.json"


class Exit(IntEnum):
    """What a script can tell from the exit code."""

    DONE = 0
    FAILED = 1
    """The run did not succeed, or a check did not hold."""
    USAGE = 2
    REFUSED = 3
    """No acceptable token, or policy said no."""
    NOT_FOUND = 4
    UNAVAILABLE = 5
    """Nobody answers, or not now: try again."""


class CliError(Exception):
    """Ends the command: a sentence for people, lines that say more, and the exit code."""

    def __init__(self, message: str, *, lines: tuple[str, ...] = (), code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message, self.lines, self.code = message, lines, code


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What `waypost up` leaves for other commands. `development` is the folder of the development issuer."""

    url: str
    development: str | None = None
    tenant: str = "demo"


Url = Annotated[
    str | None, Parameter(name="--url", env_var="WAYPOST_URL", help="The gateway. Default: the one that `waypost up` started here.")
]
Token = Annotated[
    str | None,
    Parameter(name="--token", env_var="WAYPOST_TOKEN", help="A bearer token. Default: a development token, where there is such a gateway."),
]


def find_context(start: Path) -> Context | None:
    """The nearest context at or above `start`."""
    for folder in (start, *start.parents):
        try:
            return msgspec.json.decode((folder / CONTEXT).read_bytes(), type=Context)
        except FileNotFoundError:
            continue
        except msgspec.MsgspecError as error:
            raise CliError(f"{folder / CONTEXT} is not a context: {error}", code=Exit.USAGE) from error
    return None


@contextmanager
def connect(url: str | None, token: str | None, *, timeout_seconds: float = 30.0) -> Iterator[httpx.Client]:
    """A client of the gateway. Failures of the road become `CliError`; answers are for `checked`."""
    context = find_context(Path.cwd())
    url = url or (context.url if context else None)
    if url is None:
        raise CliError(
            "no gateway is known here", lines=("Start one with `waypost up`, or name one with --url or WAYPOST_URL.",), code=Exit.USAGE
        )
    token = token or _development_token(context)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    verify = os.environ.get("WAYPOST_CA") or True
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds, verify=verify) as client:
            yield client
    except httpx.TimeoutException as error:
        raise CliError(f"{url} does not answer in time", code=Exit.UNAVAILABLE) from error
    except httpx.TransportError as error:
        raise CliError(
            f"nobody answers at {url}", lines=("Is the gateway running? `waypost up` starts one.",), code=Exit.UNAVAILABLE
        ) from error


def _development_token(context: Context | None) -> str | None:
    if context is None or context.development is None:
        return None
    scopes = ("workflows:submit", "workflows:read", "workflows:cancel", "regions:read", "regions:operate")
    return mint(Path(context.development), subject=os.environ.get("USER", "developer"), tenant=context.tenant, scopes=scopes)


def checked(response: httpx.Response) -> Any:
    """The decoded answer. Raises `CliError` with what the problem document says."""
    if response.is_success:
        return response.json()
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    code = {401: Exit.REFUSED, 403: Exit.REFUSED, 404: Exit.NOT_FOUND}.get(response.status_code, Exit.FAILED)
    if response.status_code in (429, 502, 503, 504):
        code = Exit.UNAVAILABLE
    lines = [f"{error['pointer'] or '/'}: {error['detail']}" for error in problem.get("errors", ())]
    lines += [f"decision {problem['decision_id']}"] if problem.get("decision_id") else []
    if response.status_code == httpx.codes.UNAUTHORIZED:
        lines.append("Give a token with --token or WAYPOST_TOKEN; `waypost token mint --dev` makes one for a development gateway.")
    if retry := response.headers.get("retry-after"):
        lines.append(f"Try again in {retry} s.")
    raise CliError(problem.get("detail") or f"the gateway answered {response.status_code}", lines=tuple(lines), code=code)
