"""`waypost healthcheck`: asks a gateway's internal port whether it is ready, as a container's probe does."""

import time
from typing import Annotated, Final

import httpx
from cyclopts import Parameter

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console

READY: Final = "http://127.0.0.1:9090/readyz?verbose"
ANSWER_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.5
"""The pause in seconds between two questions of a healthcheck that waits."""


@command
def healthcheck(
    *,
    url: Annotated[
        str, Parameter(help="What is asked; of a cluster with a metrics port: http://127.0.0.1:9101/livez.")
    ] = READY,
    timeout: Annotated[float, Parameter(help="Ask again for so many seconds, until all is well.")] = 0.0,
) -> int:
    """Ask a gateway whether it is ready, and print what it says: exit code 0 if it is, else 5."""
    ends_at = time.monotonic() + timeout
    # Straight to the process: no proxy of the environment is on the way to it.
    with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as client:
        while True:
            healthy, said = _ask(client, url)
            if healthy or time.monotonic() >= ends_at:
                break
            time.sleep(PAUSE_SECONDS)
    for line in said.splitlines():
        console(stderr=not healthy).print(line, markup=False)
    return Exit.DONE if healthy else Exit.UNAVAILABLE


def _ask(client: httpx.Client, url: str) -> tuple[bool, str]:
    """Returns whether the answer of `url` is a success, and its text or why there is none.

    Raises `CliError` for a URL that cannot be called.
    """
    try:
        answer = client.get(url)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise CliError(f"{url!r} cannot be asked: {error}", code=Exit.USAGE) from error
    except httpx.TransportError as error:
        return False, f"{url} does not answer: {error or type(error).__name__}"
    return answer.is_success, answer.text
