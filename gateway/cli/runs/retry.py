"""`waypost retry`: opens a failed or cancelled run again."""

from gateway.cli.arguments import RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import colored, command, console


@command
def retry(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Retry a failed or cancelled run: what did not succeed runs again."""
    with connect(url, token) as client:
        found = read_answer(client.post(api_path("runs", run, "retry")), "id", "phase")
    console().print(f"{found['id']}  {colored(found['phase'])}")
